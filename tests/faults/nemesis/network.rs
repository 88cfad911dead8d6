//! Who hears whom.

use super::{Nemesis, Undo};
use crate::{fault::Kind, network::Deafness};

/// Of a hundred packets, how many get lost. TCP lives with that; heartbeats have to.
const LOST: u64 = 20;

impl Nemesis<'_> {
    pub(super) fn harm_network(&mut self, kind: Kind, node: usize) -> Result<Undo, String> {
        match kind {
            Kind::Loss => self.lost = LOST,
            Kind::SlowLink => {
                self.slow_down(node)?;
                return Ok(Undo::Quicken(node));
            }
            Kind::Delay => {
                self.net()?.delay(node, true)?;
                self.shaped.push(node);
                return Ok(Undo::Quicken(node));
            }
            _ => self.deaf = deafness(kind, node, self.world.cluster.nodes.len()),
        }
        self.net()?.deafen(&self.deaf, self.lost)?;
        Ok(Undo::Connect)
    }

    pub(super) fn mend_network(&mut self, undo: &Undo) {
        if self.world.network.is_none() {
            return;
        }
        let mended = if let Undo::Quicken(node) = undo {
            self.quicken(*node)
        } else {
            self.deaf.clear();
            self.lost = 0;
            self.net().and_then(|network| network.deafen(&[], 0))
        };
        if let Err(why) = mended {
            self.problems
                .push(format!("the network could not be mended: {why}"));
        }
    }

    pub(super) fn slow_down(&mut self, node: usize) -> Result<(), String> {
        self.net()?.slow_down(node, true)?;
        self.shaped.push(node);
        Ok(())
    }

    /// Lets a link be as it was, unless something else still holds it.
    pub(super) fn quicken(&mut self, node: usize) -> Result<(), String> {
        if let Some(at) = self.shaped.iter().position(|&shaped| shaped == node) {
            self.shaped.remove(at);
        }
        if self.shaped.contains(&node) {
            return Ok(());
        }
        self.net()?.slow_down(node, false)
    }

    fn net(&self) -> Result<&crate::network::Network, String> {
        self.world
            .network
            .as_ref()
            .ok_or_else(|| "no network".to_owned())
    }
}

fn deafness(kind: Kind, node: usize, nodes: usize) -> Vec<Deafness> {
    let all = || (0..nodes).flat_map(move |from| (0..nodes).map(move |to| (from, to)));
    all()
        .filter(|(from, to)| from != to)
        .filter(|&(from, to)| match kind {
            Kind::Deaf => to == node,
            Kind::Mute => from == node,
            Kind::Bridge => from != node && to != node,
            _ => from == node || to == node,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::deafness;
    use crate::fault::Kind;

    #[test]
    fn who_hears_whom() {
        assert_eq!(deafness(Kind::Deaf, 0, 3), [(1, 0), (2, 0)]);
        assert_eq!(deafness(Kind::Mute, 0, 3), [(0, 1), (0, 2)]);
        assert_eq!(deafness(Kind::Bridge, 0, 3), [(1, 2), (2, 1)]);
        assert_eq!(
            deafness(Kind::Alone, 2, 3),
            [(0, 2), (1, 2), (2, 0), (2, 1)]
        );
    }
}
