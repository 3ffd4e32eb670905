//! Paths into JSON, compiled once into a tree that a reader walks along with the bytes.
//! The grammar is the catalogue's: `a.b`, `a[]` for every element, `a[k=V].v` for elements whose `k` is `V`, where `k`
//! may lie deeper (`a[k.l=V].v`).

/// What a reader is told when it meets a place in a document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Leaf {
    /// The value is wanted, under this number.
    Emit(u16),
    /// The value decides whether the element passes this filter.
    Condition(u16),
    /// The value is wanted if the element around it passes the filter.
    Pending {
        /// The filter.
        filter: u16,
        /// The number under which it is wanted.
        id: u16,
    },
    /// The names of the object's fields are wanted, each under this number.
    Keys(u16),
}

/// A place in a document.
#[derive(Debug, Default)]
pub struct Node {
    children: Vec<(Box<[u8]>, u32)>,
    /// One bit per shape of a watched key: most keys of a document are turned away by a single look at this.
    shapes: u64,
    /// The place of every element, when the value is an array.
    pub element: Option<u32>,
    /// What to tell about the value here.
    pub leaves: Vec<Leaf>,
    /// Whether filters are decided when an element here ends.
    pub filtered: bool,
}

impl Node {
    /// The place below a key.
    #[must_use]
    pub fn child(&self, key: &[u8]) -> Option<u32> {
        // HOT: the one question asked for every key of every answer.
        if self.shapes & shape(key) == 0 {
            return None;
        }
        self.children.iter().find(|(name, _)| **name == *key).map(|(_, node)| *node)
    }

    /// The position of a key among the watched ones here.
    #[must_use]
    pub fn position(&self, key: &[u8]) -> Option<(usize, u32)> {
        if self.shapes & shape(key) == 0 {
            return None;
        }
        self.children.iter().enumerate().find(|(_, (name, _))| **name == *key).map(|(at, (_, node))| (at, *node))
    }

    /// Whether a key differs from a watched one only in the case of its letters or in underscores: some parsers take
    /// `Model` for `model`, others `generation_config` for `generationConfig`.
    #[must_use]
    pub fn misspelt(&self, key: &[u8]) -> Option<&[u8]> {
        // HOT: asked for every key of every request; nothing is copied. Only a key of about the same length can be meant.
        let near = |name: &[u8]| name.len().abs_diff(key.len()) <= 8;
        self.children
            .iter()
            .map(|(name, _)| &**name)
            .find(|name| near(name) && *name != key && letters(name).eq(letters(key)))
    }

    /// The number under which the names of the fields here are wanted.
    #[must_use]
    pub fn keys(&self) -> Option<u16> {
        self.leaves.iter().find_map(|leaf| if let Leaf::Keys(id) = leaf { Some(*id) } else { None })
    }

    /// Whether anything below a key of this place is watched.
    #[must_use]
    pub fn has_keys(&self) -> bool {
        !self.children.is_empty()
    }
}

/// A bit for a key, by its length and first letter.
const fn shape(key: &[u8]) -> u64 {
    let first = match key {
        [first, ..] => *first as usize,
        [] => 0,
    };
    1 << (key.len().wrapping_mul(7).wrapping_add(first) % 64)
}

/// The letters of a name, without what parsers may differ about.
fn letters(name: &[u8]) -> impl Iterator<Item = u8> + '_ {
    name.iter().filter(|byte| **byte != b'_').map(u8::to_ascii_lowercase)
}

/// A set of paths, ready to be followed.
#[derive(Debug)]
pub struct Paths {
    nodes: Vec<Node>,
    /// The value that each filter wants.
    filters: Vec<Box<[u8]>>,
    longest_key: usize,
}

/// The place of the whole document.
pub const ROOT: u32 = 0;

impl Default for Paths {
    fn default() -> Self {
        Self { nodes: vec![Node::default()], filters: Vec::new(), longest_key: 0 }
    }
}

impl Paths {
    /// Has the names of an object's fields told, each under a number.
    pub fn add_keys(&mut self, path: &str, id: u16) {
        let (node, _) = self.walk(path);
        if let Some(place) = self.nodes.get_mut(node as usize) {
            place.leaves.push(Leaf::Keys(id));
        }
    }

    /// Adds a path under a number. The empty path is the whole document. Several paths may share a number or a place.
    pub fn add(&mut self, path: &str, id: u16) {
        let (node, filter) = self.walk(path);
        if let Some(place) = self.nodes.get_mut(node as usize) {
            place.leaves.push(filter.map_or(Leaf::Emit(id), |filter| Leaf::Pending { filter, id }));
        }
    }

    /// The place of a path, made where it is not there yet, and the last filter on the way.
    fn walk(&mut self, path: &str) -> (u32, Option<u16>) {
        let mut node = ROOT;
        let mut filter = None;
        let mut rest = path;
        while !rest.is_empty() {
            let (name, bracket, after) = segment(rest);
            rest = after;
            node = self.descend(node, name);
            match bracket {
                None => {}
                Some("") => node = self.elements(node),
                Some(condition) => {
                    let (key, value) = condition.split_once('=').unwrap_or((condition, ""));
                    node = self.elements(node);
                    let number = u16::try_from(self.filters.len()).unwrap_or(u16::MAX);
                    self.filters.push(value.as_bytes().into());
                    let condition_node = key.split('.').fold(node, |at, name| self.descend(at, name));
                    if let Some(place) = self.nodes.get_mut(condition_node as usize) {
                        place.leaves.push(Leaf::Condition(number));
                    }
                    if let Some(place) = self.nodes.get_mut(node as usize) {
                        place.filtered = true;
                    }
                    filter = Some(number);
                }
            }
        }
        (node, filter)
    }

    fn push(&mut self) -> u32 {
        self.nodes.push(Node::default());
        u32::try_from(self.nodes.len() - 1).unwrap_or(ROOT)
    }

    fn descend(&mut self, node: u32, name: &str) -> u32 {
        if let Some(child) = self.node(node).and_then(|place| place.child(name.as_bytes())) {
            return child;
        }
        let child = self.push();
        self.longest_key = self.longest_key.max(name.len());
        if let Some(place) = self.nodes.get_mut(node as usize) {
            place.children.push((name.as_bytes().into(), child));
            place.shapes |= shape(name.as_bytes());
        }
        child
    }

    fn elements(&mut self, node: u32) -> u32 {
        if let Some(element) = self.node(node).and_then(|place| place.element) {
            return element;
        }
        let element = self.push();
        if let Some(place) = self.nodes.get_mut(node as usize) {
            place.element = Some(element);
        }
        element
    }

    /// A place.
    #[must_use]
    pub fn node(&self, node: u32) -> Option<&Node> {
        self.nodes.get(node as usize)
    }

    /// The value that a filter wants.
    #[must_use]
    pub fn filter(&self, filter: u16) -> &[u8] {
        self.filters.get(usize::from(filter)).map_or(&[], |value| value)
    }

    /// How many filters there are.
    #[must_use]
    pub fn filter_count(&self) -> usize {
        self.filters.len()
    }

    /// The length of the longest watched key: longer ones need not be kept.
    #[must_use]
    pub const fn longest_key(&self) -> usize {
        self.longest_key
    }
}

/// Splits the first segment off: its name, what stands in its brackets, and the rest.
fn segment(path: &str) -> (&str, Option<&str>, &str) {
    let end = path.find(['.', '[']).unwrap_or(path.len());
    let (name, rest) = path.split_at(end);
    if let Some(inside) = rest.strip_prefix('[') {
        let (bracket, rest) = inside.split_once(']').unwrap_or((inside, ""));
        return (name, Some(bracket), rest.strip_prefix('.').unwrap_or(rest));
    }
    (name, None, rest.strip_prefix('.').unwrap_or(rest))
}

/// One path below another, as one path.
#[must_use]
pub fn join(root: &str, path: &str) -> String {
    match (root.is_empty(), path.is_empty()) {
        (true, _) => path.to_owned(),
        (_, true) => root.to_owned(),
        _ => format!("{root}.{path}"),
    }
}

/// The last name in a path, for a quick search in the bytes before anything is parsed.
#[must_use]
pub fn last_name(path: &str) -> &str {
    let mut rest = path;
    let mut last = "";
    while !rest.is_empty() {
        let (name, _, after) = segment(rest);
        last = name;
        rest = after;
    }
    last
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_are_split_at_dots_and_brackets() {
        assert_eq!(segment("a.b"), ("a", None, "b"));
        assert_eq!(segment("a"), ("a", None, ""));
        assert_eq!(segment("a[].b"), ("a", Some(""), "b"));
        assert_eq!(segment("a[k=x.y].v"), ("a", Some("k=x.y"), "v"));
        assert_eq!(last_name("x_groq.usage"), "usage");
        assert_eq!(last_name("details[modality=AUDIO].tokenCount"), "tokenCount");
        assert_eq!(join("", "a"), "a");
        assert_eq!(join("a", "b.c"), "a.b.c");
        assert_eq!(join("a", ""), "a");
    }

    #[test]
    fn paths_with_a_common_beginning_share_it() {
        let mut paths = Paths::default();
        paths.add("usage.a", 1);
        paths.add("usage.b[k=V].v", 2);
        let usage = paths.node(ROOT).and_then(|root| root.child(b"usage")).expect("usage");
        let usage = paths.node(usage).expect("place");
        assert!(usage.child(b"a").is_some());
        let list = usage.child(b"b").and_then(|node| paths.node(node)).expect("list");
        let element = list.element.and_then(|node| paths.node(node)).expect("element");
        assert!(element.filtered);
        assert_eq!(paths.filter(0), b"V");
        assert_eq!(paths.longest_key(), 5);
        let misspelt = |key: &[u8]| paths.node(ROOT).and_then(|root| root.misspelt(key)).map(<[u8]>::to_vec);
        assert_eq!(misspelt(b"Usage").as_deref(), Some(&b"usage"[..]));
        assert_eq!(misspelt(b"_us_AGE").as_deref(), Some(&b"usage"[..]));
        assert_eq!(misspelt(b"usage"), None);
        assert_eq!(misspelt(b"usages"), None);
    }
}
