//! Models of `crate::outbox`.
