//! What is tried though it may be in vain.

#![forbid(unsafe_code)]

/// Naps that are left out in a row at most, when they are in vain.
pub(super) const MOST_LEFT_OUT: u32 = 1023;

/// Waits that on average brought fewer events than this brought little: a wait costs some
/// microseconds, so the events are hundreds of nanoseconds apart.
pub(super) const LITTLE: u64 = 8;

/// Trials of what may be in vain: the more were, the more of the following are left out.
#[derive(Clone, Copy, Debug)]
pub(super) struct Trials {
    /// How many are left out in a row at most.
    most: u32,
    left_out: u32,
    /// How many were left out after the last one that was in vain.
    back_off: u32,
}

impl Trials {
    pub(super) const fn new(most: u32) -> Self {
        Self {
            most,
            left_out: 0,
            back_off: 0,
        }
    }

    /// Whether it is time for one.
    pub(super) fn is_due(&mut self) -> bool {
        let due = self.left_out == 0;
        self.left_out = self.left_out.saturating_sub(1);
        due
    }

    /// What came of the last one.
    pub(super) fn judge(&mut self, paid: bool) {
        self.back_off = if paid {
            0
        } else {
            (2 * self.back_off + 1).min(self.most)
        };
        self.left_out = self.back_off;
    }

    /// Whether the last one was in vain.
    #[cfg(all(test, not(workcrew_loom)))]
    pub(super) fn were_in_vain(&self) -> bool {
        self.back_off > 0
    }
}

/// Naps before a wait goes on: they pay while each brings a run of events, and are [`Trials`] else.
#[derive(Clone, Copy, Debug)]
pub(super) struct Naps {
    trials: Trials,
    /// Whether the last wait began with one, of which nobody has judged.
    napped: bool,
}

impl Naps {
    pub(super) const fn new(most: u32) -> Self {
        Self {
            trials: Trials::new(most),
            napped: false,
        }
    }

    /// Whether a wait shall begin with a nap, if so many events came since the last wait began.
    pub(super) fn begin(&mut self, events: u64) -> bool {
        if self.napped {
            self.trials.judge(events >= LITTLE);
        }
        self.napped = self.trials.is_due();
        self.napped
    }

    /// What comes next is not the last nap's merit.
    pub(super) fn end_in_vain(&mut self) {
        if std::mem::take(&mut self.napped) {
            self.trials.judge(false);
        }
    }
}
