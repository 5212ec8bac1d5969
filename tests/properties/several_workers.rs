//! later
use crate::program::Program;
pub(crate) fn play(_: &Program) {}
