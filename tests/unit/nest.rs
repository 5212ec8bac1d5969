//! Unit tests of the nest: edges that need no second thread.

use super::*;
