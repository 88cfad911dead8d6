//! Numbers that look random and are the same for the same seed: SplitMix64.

/// One sequence of them.
#[derive(Clone, Debug)]
pub(crate) struct Dice(u64);

impl Dice {
    /// Sequences of different seeds have nothing to do with each other.
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// One of `range`, which must not be empty.
    pub(crate) fn within(&mut self, range: std::ops::Range<u64>) -> u64 {
        range.start + self.next() % (range.end - range.start)
    }

    /// One of several, each as likely as the others; there must be one.
    pub(crate) fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        let length = u64::try_from(from.len()).expect("a list fits in 64 bits");
        let place = usize::try_from(self.within(0..length)).expect("it is below a length");
        from.get(place).expect("it is below the length")
    }
}
