//! Models of `crate::engine`.
