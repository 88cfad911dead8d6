//! A primary that is away, comes and goes, or stores mail and does not say so.

use std::{thread, time::Duration};

use harness::Stage;

use super::{Nemesis, Undo};
use crate::fault::Kind;

/// Messages that are stored before the connection breaks, in one fault. Fewer than it takes for a
/// message to be deferred because connections break under it.
const DROPPED: usize = 2;

/// How often a primary that reboots is there again, and how long it is there or away.
const REBOOTS: usize = 3;
const REBOOTS_EVERY: Duration = Duration::from_millis(150);

impl Nemesis<'_> {
    pub(super) fn harm_primary(&mut self, kind: Kind) -> Result<Undo, String> {
        let primary = &mut self.world.primary;
        match kind {
            Kind::PrimaryDropsAfterDot => {
                primary.on_cue(|cue| cue.hang_up(Stage::AfterDot, DROPPED));
            }
            Kind::PrimaryReboots => {
                for _ in 0..REBOOTS {
                    primary.down();
                    thread::sleep(REBOOTS_EVERY);
                    primary.up();
                    thread::sleep(REBOOTS_EVERY);
                }
            }
            _ => primary.down(),
        }
        Ok(Undo::PrimaryUp)
    }

    pub(super) fn mend_primary(&mut self) {
        self.world
            .primary
            .on_cue(|cue| cue.hang_up(Stage::AfterDot, 0));
        self.world.primary.up();
    }
}
