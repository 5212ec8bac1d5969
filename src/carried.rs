//! A job on its way, with the span of the crate `tracing` in which it was submitted.
//!
//! Without the feature `tracing` a span is nothing, and a job is all there is.

#![forbid(unsafe_code)]

#[cfg(feature = "tracing")]
use tracing::Span;

/// No span: takes no space, and there is nothing to enter.
#[cfg(not(feature = "tracing"))]
#[derive(Debug)]
struct Span;

#[cfg(not(feature = "tracing"))]
impl Span {
    #[inline(always)]
    fn current() -> Self {
        Self
    }

    #[inline(always)]
    fn in_scope<T>(&self, scope: impl FnOnce() -> T) -> T {
        scope()
    }
}

/// In bytes, what goes along with a job.
pub(crate) const LUGGAGE: usize = size_of::<Span>();

#[derive(Debug)]
pub(crate) struct Carried<J> {
    job: J,
    span: Span,
}

impl<J> Carried<J> {
    /// The job, and the span that is current now.
    #[inline(always)]
    pub(crate) fn new(job: J) -> Self {
        let span = Span::current();
        Self { job, span }
    }

    /// The job alone: it goes back to whom it came from.
    #[inline(always)]
    pub(crate) fn into_inner(self) -> J {
        self.job
    }

    /// Runs the job within its span.
    #[inline(always)]
    pub(crate) fn enter<T>(self, run: impl FnOnce(J) -> T) -> T {
        let Self { job, span } = self;
        span.in_scope(|| run(job))
    }
}
