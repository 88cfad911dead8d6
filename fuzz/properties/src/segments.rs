//! The same octets in segments of different sizes, as a network delivers them.

/// Ends a turn: whoever reads does what is due before the next octets come. It occurs in no UTF-8.
const TURN_END: u8 = 0xff;

/// What is sent, and how it is cut.
///
/// The first octet: four bits that choose settings, and four that say how many octets with the
/// sizes of segments follow. What is sent is the rest.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sent<'d> {
    choices: u8,
    sizes: &'d [u8],
    octets: &'d [u8],
}

/// The size of one segment after the other.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cut<'d> {
    sizes: &'d [u8],
    at: usize,
}

impl<'d> Sent<'d> {
    /// Nothing when there is no octet.
    pub(crate) fn read(data: &'d [u8]) -> Option<Self> {
        let (&first, rest) = data.split_first()?;
        let (sizes, octets) = rest.split_at_checked(usize::from(first & 0xf))?;
        Some(Self {
            choices: first >> 4,
            sizes,
            octets,
        })
    }

    /// Whether a setting is chosen, of numbers 0 to 3.
    pub(crate) const fn chooses(&self, number: u8) -> bool {
        self.choices >> number & 1 == 1
    }

    /// What is sent in each turn.
    pub(crate) fn turns(&self) -> impl Iterator<Item = &'d [u8]> + use<'d> {
        self.octets.split(|octet| *octet == TURN_END)
    }

    /// The ways to cut it: not at all, at every octet, and as it says.
    pub(crate) fn cuts(&self) -> [Cut<'d>; 3] {
        let none: &[u8] = &[];
        [none, &[0], self.sizes].map(|sizes| Cut { sizes, at: 0 })
    }
}

impl Cut<'_> {
    /// The segments of some octets.
    pub(crate) fn segments<'o>(&mut self, octets: &'o [u8]) -> Vec<&'o [u8]> {
        let mut segments = Vec::new();
        let mut rest = octets;
        while !rest.is_empty() {
            let (segment, behind) = rest.split_at(self.next().min(rest.len()));
            segments.push(segment);
            rest = behind;
        }
        segments
    }

    fn next(&mut self) -> usize {
        let size = self.sizes.get(self.at % self.sizes.len().max(1));
        self.at += 1;
        size.map_or(usize::MAX, |size| usize::from(*size) + 1)
    }
}
