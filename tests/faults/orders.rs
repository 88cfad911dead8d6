//! The command line.

use std::{iter::Peekable, slice::Iter, str::FromStr, time::Duration};

use anyhow::{Context as _, Result, bail, ensure};

use crate::fault::Kind;

const USAGE: &str = "usage: faults [--seed N] [--minutes M] [--nodes N] [--rounds N] \
                     [--round-seconds S] [--only KIND]...";

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Orders {
    /// The first seed.
    pub(crate) seed: u64,
    /// Another seed is begun while this has not passed.
    pub(crate) time: Duration,
    pub(crate) nodes: usize,
    /// Rounds of each seed.
    pub(crate) rounds: u64,
    pub(crate) round_ms: u64,
    pub(crate) kinds: Vec<Kind>,
}

impl Orders {
    /// Reads them.
    ///
    /// # Errors
    /// When they can not be understood.
    pub(crate) fn parse(words: &[String]) -> Result<Self> {
        let mut orders = Self {
            seed: 1,
            time: Duration::from_secs(60),
            nodes: 3,
            rounds: 3,
            round_ms: 25_000,
            kinds: Kind::MIX.to_vec(),
        };
        let mut only = Vec::new();
        let mut words = words.iter().peekable();
        while let Some(word) = words.next() {
            match word.as_str() {
                "--seed" => orders.seed = value(&mut words)?,
                "--minutes" => orders.time = Duration::from_secs(60 * value::<u64>(&mut words)?),
                "--nodes" => orders.nodes = value(&mut words)?,
                "--rounds" => orders.rounds = value(&mut words)?,
                "--round-seconds" => orders.round_ms = 1000 * value::<u64>(&mut words)?,
                "--only" => only.push(kind(&mut words)?),
                _ => bail!("{word:?} is no option; {USAGE}"),
            }
        }
        ensure!(
            (1..=9).contains(&orders.nodes),
            "1 to 9 nodes, not {}",
            orders.nodes
        );
        if !only.is_empty() {
            orders.kinds = only;
        }
        Ok(orders)
    }
}

fn value<T: FromStr>(words: &mut Peekable<Iter<'_, String>>) -> Result<T> {
    let word = words.next().context(USAGE)?;
    word.parse()
        .ok()
        .with_context(|| format!("{word:?} is no number; {USAGE}"))
}

fn kind(words: &mut Peekable<Iter<'_, String>>) -> Result<Kind> {
    let word = words.next().context(USAGE)?;
    Kind::named(word).with_context(|| {
        format!(
            "{word:?} is no fault; there are {:?}",
            Kind::MIX.map(Kind::name)
        )
    })
}

#[cfg(test)]
mod tests {
    use super::Orders;
    use crate::fault::Kind;

    #[test]
    fn orders_are_read_and_nonsense_is_refused() {
        let parse = |text: &str| {
            let words: Vec<String> = text.split_whitespace().map(str::to_owned).collect();
            Orders::parse(&words)
        };
        let orders = parse("--seed 7 --nodes 5 --only kill --only cut-log").unwrap();
        assert_eq!((orders.seed, orders.nodes), (7, 5));
        assert_eq!(orders.kinds, [Kind::Kill, Kind::CutLog]);
        for wrong in [
            "--seed",
            "--seed x",
            "--only earthquake",
            "--nodes 0",
            "fast",
        ] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}
