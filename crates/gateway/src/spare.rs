//! Header maps that are used again. A map's room is too large for the quick part of the system's allocator, and each call
//! would get one and give one back: the request's, when the call is over, is the next answer's.

use http::{HeaderMap, request::Parts};
use std::{cell::RefCell, ops::Deref};

/// How many a thread keeps, and of which size at most.
const MOST: usize = 32;
const LARGEST: usize = 64;

thread_local! {
    static SPARE: RefCell<Vec<HeaderMap>> = const { RefCell::new(Vec::new()) };
}

/// An empty map with room for so many headers, used before if there is one.
pub(crate) fn header_map(headers: usize) -> HeaderMap {
    let mut map = SPARE.with_borrow_mut(Vec::pop).unwrap_or_default();
    map.reserve(headers);
    map
}

/// A request's head, whose map is used again.
pub(crate) struct Head(Parts);

impl Head {
    pub(crate) const fn new(head: Parts) -> Self {
        Self(head)
    }
}

impl Deref for Head {
    type Target = Parts;

    fn deref(&self) -> &Parts {
        &self.0
    }
}

impl Drop for Head {
    fn drop(&mut self) {
        let mut map = std::mem::take(&mut self.0.headers);
        if map.capacity() == 0 || map.capacity() > LARGEST {
            return;
        }
        // SECRET: nothing of one call is left to the next.
        map.clear();
        // While a thread ends, its spare maps may be gone before its calls are.
        let _ = SPARE.try_with(|spare| {
            let mut spare = spare.borrow_mut();
            if spare.len() < MOST {
                spare.push(map);
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::{HeaderValue, Request, header};

    fn head(headers: usize) -> Head {
        let mut request = Request::new(());
        for number in 0..headers {
            let name = http::HeaderName::from_bytes(format!("x-{number}").as_bytes()).unwrap();
            request.headers_mut().append(name, HeaderValue::from_static("1"));
        }
        Head::new(request.into_parts().0)
    }

    #[test]
    fn a_map_comes_back_empty() {
        let one = head(12);
        let room = one.headers.capacity();
        drop(one);
        let map = header_map(3);
        assert_eq!((map.len(), map.capacity()), (0, room));
        assert_eq!(header_map(3).get(header::HOST), None, "another one is new");
    }

    #[test]
    fn not_more_than_a_few_are_kept_and_none_that_is_large() {
        drop(head(2_000));
        assert!(SPARE.with_borrow(Vec::is_empty));
        let many: Vec<Head> = (0..2 * MOST).map(|_| head(5)).collect();
        drop(many);
        assert_eq!(SPARE.with_borrow(Vec::len), MOST);
    }
}
