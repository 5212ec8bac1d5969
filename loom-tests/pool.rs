//! Models of `crate::pool`.
