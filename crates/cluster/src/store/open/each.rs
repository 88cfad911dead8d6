//! Reading many rows at once.

use std::io;

use super::{Column, Database, below, failed};

/// Rows that a walk may find between those that are wanted, for each of these: to pass so many costs less than
/// to look up one.
const BETWEEN_MAX: usize = 8;

/// Deletions and older versions of rows that a walk passes to come to the next row. Where rows have left, there
/// may be millions side by side.
const SKIPPED_MAX: u64 = 100;

impl Database {
    /// The values of several keys, in the same order. Keys that ascend, and have few others between them, cost
    /// a fraction of what one costs that is looked up by itself.
    pub(crate) fn get_each(
        &self,
        column: Column,
        keys: &[Vec<u8>],
    ) -> io::Result<Vec<Option<Vec<u8>>>> {
        let mut values = self.walk(column, keys)?;
        let left = keys.get(values.len()..).unwrap_or_default();
        let found = self
            .db
            .batched_multi_get_cf(self.column(column), left, false);
        for value in found {
            values.push(value.map_err(failed)?.map(|value| value.to_vec()));
        }
        Ok(values)
    }

    /// Walks over the rows from the first key to the last. What it returns are the values of the first keys; it
    /// ends early where too much lies in between.
    fn walk(&self, column: Column, keys: &[Vec<u8>]) -> io::Result<Vec<Option<Vec<u8>>>> {
        let mut values = Vec::with_capacity(keys.len());
        let ([first, .., last], true) = (keys, keys.is_sorted()) else {
            return Ok(values);
        };
        let mut behind_last = last.clone();
        behind_last.push(0);
        let mut options = below(behind_last);
        options.set_max_skippable_internal_keys(SKIPPED_MAX);
        let mut rows = self.db.raw_iterator_cf_opt(self.column(column), options);
        rows.seek(first);
        let mut passed = 0;
        for key in keys {
            while rows.key().is_some_and(|found| found < key.as_slice()) {
                passed += 1;
                if passed > keys.len() * BETWEEN_MAX {
                    return Ok(values);
                }
                rows.next();
            }
            let Some((found, value)) = rows.item() else {
                break;
            };
            values.push((found == key.as_slice()).then(|| value.to_vec()));
        }
        match rows.status() {
            // Behind the last row.
            Ok(()) => values.resize(keys.len(), None),
            Err(error) if error.kind() == rocksdb::ErrorKind::Incomplete => {}
            Err(error) => return Err(failed(error)),
        }
        Ok(values)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use prometheus_client::registry::Registry;

    use super::*;
    use crate::{metrics::Metrics, store::open::open_or_make};

    fn key(number: u32) -> Vec<u8> {
        number.to_be_bytes().to_vec()
    }

    /// Rows of the numbers that the test wants, some of them in a file, some in memory.
    fn database(directory: &std::path::Path, is_there: impl Fn(u32) -> bool) -> Database {
        let metrics = Arc::new(Metrics::register(&mut Registry::default()));
        let database = open_or_make(directory, metrics).unwrap();
        for half in [0, 1] {
            let mut batch = database.batch();
            for number in (0..20_000).filter(|number| number % 2 == half && is_there(*number)) {
                batch.put(Column::Spool, key(number), key(number + 1));
            }
            batch.write().unwrap();
            let column = database.column(Column::Spool);
            database.db.flush_cf(column).unwrap();
        }
        database
    }

    /// Compares with reading them one by one.
    fn check(database: &Database, keys: &[Vec<u8>]) {
        let each = database.get_each(Column::Spool, keys).unwrap();
        let one_by_one = keys
            .iter()
            .map(|key| database.get(Column::Spool, key).unwrap());
        assert_eq!(each, one_by_one.collect::<Vec<_>>());
    }

    #[test]
    fn many_are_read_as_one_by_one_wherever_they_lie() {
        let directory = tempfile::tempdir().unwrap();
        let database = database(directory.path(), |number| number % 3 > 0 && number < 19_000);
        check(&database, &[]);
        for step in [1, 2, 7, 50, 5000] {
            for first in [0, 4, 18_900, 19_990] {
                let numbers = (first..20_000).step_by(step).take(1000);
                let keys: Vec<_> = numbers.map(key).collect();
                check(&database, &keys);
                let backwards: Vec<_> = keys.into_iter().rev().collect();
                check(&database, &backwards);
            }
        }
        check(&database, &[key(4), key(4), key(5)]);
        let neighbours: Vec<_> = (100..200).map(key).collect();
        let walked = database.walk(Column::Spool, &neighbours).unwrap();
        assert_eq!(walked.len(), 100);
        let scattered: Vec<_> = (0..100).map(|number| key(number * 100)).collect();
        let walked = database.walk(Column::Spool, &scattered).unwrap();
        assert!((1..100).contains(&walked.len()), "{}", walked.len());
    }

    #[test]
    fn what_was_deleted_in_between_is_not_walked_over() {
        let directory = tempfile::tempdir().unwrap();
        let database = database(directory.path(), |_| true);
        let mut batch = database.batch();
        for number in 10..10_000 {
            batch.delete(Column::Spool, key(number));
        }
        batch.write().unwrap();
        let keys: Vec<_> = (0..10).chain(9_998..10_010).map(key).collect();
        let walked = database.walk(Column::Spool, &keys).unwrap();
        assert_eq!(walked.len(), 10);
        check(&database, &keys);
    }
}
