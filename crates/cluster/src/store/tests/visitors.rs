//! Who has come to a sentry.

use spool::Patience;

use super::*;

/// A minute, and an age.
const MINUTE: u64 = 60_000;
const AGE: u64 = 36 * 60 * MINUTE;

fn known(opened: &Opened, visitor: u128) -> Option<Patience> {
    opened.tables.patience(Visitor(visitor)).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn visitors_are_known_after_a_restart_and_from_a_snapshot() {
    let (mut opened, to) = (Opened::new(), Opened::new());
    opened
        .commit(vec![
            entry(1, visits(MINUTE, &[u128::MAX, 7])),
            entry(2, visits(2 * MINUTE, &[u128::MAX])),
        ])
        .await;
    let patience = Patience {
        first: Timestamp(MINUTE),
        last: Timestamp(2 * MINUTE),
        visits: 2,
    };
    snapshots::install(&to, snapshots::snapshot_of(&opened).await).await;
    for opened in [to, opened.reopened()] {
        assert_eq!(known(&opened, u128::MAX), Some(patience));
        assert_eq!(known(&opened, 8), None);
        // What the table says is held in memory, too: both go, one after the other.
        let sweep = |at| Command::Sweep { at: Timestamp(at) };
        let entries = vec![entry(3, sweep(AGE + MINUTE + 1))];
        machine::apply_entries(&opened.tables, entries).unwrap();
        assert_eq!(known(&opened, 7), None);
        assert_eq!(known(&opened, u128::MAX), Some(patience));
        let again = entry(4, visits(AGE, &[u128::MAX]));
        machine::apply_entries(&opened.tables, vec![again]).unwrap();
        let visits = known(&opened, u128::MAX).map(|known| known.visits);
        assert_eq!(visits, Some(3));
    }
}
