//! A call that outlasts its client: when hyper drops it, because the client is gone, and it was sent to a provider that
//! goes on in any case, or money is held for it, it goes on alone.

use crate::{inbound::Rejected, relay::Relay, worker::Worker};
use http::Response;
use std::{
    pin::Pin,
    rc::Rc,
    task::{Context, Poll},
};

type Served<F> = Pin<Box<F>>;

/// A call under way.
pub(super) struct Outlast<F>
where
    F: Future<Output = Result<Response<Relay>, Rejected>> + 'static,
{
    served: Option<Served<F>>,
    worker: Rc<Worker>,
    /// Whether it goes on when it is dropped now. The call says so through its thread while it is polled, so that
    /// nothing is shared, and nothing is allocated.
    lingers: bool,
}

impl<F> Outlast<F>
where
    F: Future<Output = Result<Response<Relay>, Rejected>> + 'static,
{
    pub(super) const fn new(served: Served<F>, worker: Rc<Worker>) -> Self {
        Self { served: Some(served), worker, lingers: false }
    }
}

impl<F> Future for Outlast<F>
where
    F: Future<Output = Result<Response<Relay>, Rejected>> + 'static,
{
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        self.worker.lingers.set(self.lingers);
        let Some(served) = &mut self.served else { return Poll::Pending };
        let done = served.as_mut().poll(cx);
        self.lingers = self.worker.lingers.get();
        if done.is_ready() {
            self.served = None;
        }
        done
    }
}

impl<F> Drop for Outlast<F>
where
    F: Future<Output = Result<Response<Relay>, Rejected>> + 'static,
{
    fn drop(&mut self) {
        if !self.lingers {
            return;
        }
        if let Some(served) = self.served.take()
            && let Some(place) = self.worker.alone()
        {
            place.go_on(async move {
                if let Ok(response) = served.await {
                    response.into_body().drain().await;
                }
            });
        }
    }
}
