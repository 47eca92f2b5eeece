//! A warp's registers: 32 lanes each, and the loops over lanes.

use pulp::{Arch, NullaryFnOnce};

/// Index of a register in its file.
pub(crate) type Slot = u32;
/// One register of a warp.
pub(crate) type Lanes<T> = [T; 32];
/// Every lane.
pub(crate) const FULL: u32 = u32::MAX;

/// The three register files. 8- and 16-bit values live zero-extended in the 32-bit file; immediates and special
/// registers are registers too, so that every operand is a slot.
pub(crate) struct Registers {
    words: Vec<Lanes<u32>>,
    doubles: Vec<Lanes<u64>>,
    predicates: Vec<u32>,
    arch: Arch,
}

/// A type that has a register file.
pub(crate) trait Word: Copy + Default {
    fn file(registers: &Registers) -> &[Lanes<Self>];
    fn file_mut(registers: &mut Registers) -> &mut [Lanes<Self>];
}

impl Word for u32 {
    #[inline(always)]
    fn file(registers: &Registers) -> &[Lanes<Self>] {
        &registers.words
    }
    #[inline(always)]
    fn file_mut(registers: &mut Registers) -> &mut [Lanes<Self>] {
        &mut registers.words
    }
}

impl Word for u64 {
    #[inline(always)]
    fn file(registers: &Registers) -> &[Lanes<Self>] {
        &registers.doubles
    }
    #[inline(always)]
    fn file_mut(registers: &mut Registers) -> &mut [Lanes<Self>] {
        &mut registers.doubles
    }
}

/// A loop over lanes to be compiled for the processor; called through `FnMut`, as the shim by which such a closure is
/// an `FnOnce` is not inlined.
struct Loop<F>(F);

impl<R, F: FnMut() -> R> NullaryFnOnce for Loop<F> {
    type Output = R;

    #[inline(always)]
    fn call(mut self) -> R {
        (self.0)()
    }
}

/// The value of every lane; a plain loop, because `array::from_fn` is not inlined into code for newer processors.
#[inline(always)]
pub(crate) fn each<T: Word>(f: impl Fn(usize) -> T) -> Lanes<T> {
    let mut out = [T::default(); 32];
    for (i, value) in out.iter_mut().enumerate() {
        *value = f(i);
    }
    out
}

/// The lanes of a mask, lowest first.
pub(crate) fn lanes(mask: u32) -> impl Iterator<Item = usize> {
    let mut rest = mask;
    std::iter::from_fn(move || {
        (rest != 0).then(|| {
            let lane = rest.trailing_zeros() as usize;
            rest &= rest - 1;
            lane
        })
    })
}

impl Registers {
    /// None yet.
    pub(crate) fn new() -> Self {
        Self { words: Vec::new(), doubles: Vec::new(), predicates: Vec::new(), arch: Arch::new() }
    }

    /// Takes the place of what was there; registers start as all ones: a NaN, a wild address.
    pub(crate) fn reset(&mut self, words: usize, doubles: usize, predicates: usize) {
        fn fill<T: Copy>(file: &mut Vec<T>, count: usize, value: T) {
            file.clear();
            file.resize(count, value);
        }
        fill(&mut self.words, words, [u32::MAX; 32]);
        fill(&mut self.doubles, doubles, [u64::MAX; 32]);
        fill(&mut self.predicates, predicates, 0);
    }

    /// Runs a loop compiled for the processor.
    #[inline(always)]
    pub(crate) fn vectorised<R>(&self, f: impl FnMut() -> R) -> R {
        self.arch.dispatch(Loop(f))
    }

    #[inline(always)]
    pub(crate) fn get<T: Word>(&self, slot: Slot) -> &Lanes<T> {
        &T::file(self)[slot as usize]
    }

    #[inline(always)]
    pub(crate) fn lane<T: Word>(&self, slot: Slot, lane: usize) -> T {
        T::file(self)[slot as usize][lane]
    }

    #[inline(always)]
    pub(crate) fn set_lane<T: Word>(&mut self, slot: Slot, lane: usize, value: T) {
        T::file_mut(self)[slot as usize][lane] = value;
    }

    /// Writes the lanes of `mask`.
    #[inline(always)]
    pub(crate) fn set<T: Word>(&mut self, mask: u32, slot: Slot, values: &Lanes<T>) {
        let out = &mut T::file_mut(self)[slot as usize];
        if mask == FULL {
            *out = *values;
        } else {
            for lane in 0..32 {
                out[lane] = if mask >> lane & 1 == 1 { values[lane] } else { out[lane] };
            }
        }
    }

    /// The lanes in which a predicate holds.
    #[inline(always)]
    pub(crate) fn predicate(&self, slot: Slot) -> u32 {
        self.predicates[slot as usize]
    }

    #[inline(always)]
    pub(crate) fn set_predicate(&mut self, mask: u32, slot: Slot, value: u32) {
        let out = &mut self.predicates[slot as usize];
        *out = (*out & !mask) | (value & mask);
    }

    /// `d = f(a)`
    #[inline(always)]
    pub(crate) fn map1<A: Word, D: Word>(&mut self, mask: u32, d: Slot, a: Slot, f: impl Fn(A) -> D) {
        let arch = self.arch;
        arch.dispatch(Loop(
            #[inline(always)]
            || {
                let a = *self.get::<A>(a);
                self.set(
                    mask,
                    d,
                    &each(
                        #[inline(always)]
                        |i| f(a[i]),
                    ),
                );
            },
        ));
    }

    /// `d = f(a, b)`
    #[inline(always)]
    pub(crate) fn map2<A: Word, B: Word, D: Word>(
        &mut self,
        mask: u32,
        d: Slot,
        [a, b]: [Slot; 2],
        f: impl Fn(A, B) -> D,
    ) {
        let arch = self.arch;
        arch.dispatch(Loop(
            #[inline(always)]
            || {
                let (a, b) = (*self.get::<A>(a), *self.get::<B>(b));
                self.set(
                    mask,
                    d,
                    &each(
                        #[inline(always)]
                        |i| f(a[i], b[i]),
                    ),
                );
            },
        ));
    }

    /// `d = f(a, b, c)`
    #[inline(always)]
    pub(crate) fn map3<A: Word, B: Word, C: Word, D: Word>(
        &mut self,
        mask: u32,
        d: Slot,
        [a, b, c]: [Slot; 3],
        f: impl Fn(A, B, C) -> D,
    ) {
        let arch = self.arch;
        arch.dispatch(Loop(
            #[inline(always)]
            || {
                let (a, b, c) = (*self.get::<A>(a), *self.get::<B>(b), *self.get::<C>(c));
                self.set(
                    mask,
                    d,
                    &each(
                        #[inline(always)]
                        |i| f(a[i], b[i], c[i]),
                    ),
                );
            },
        ));
    }

    /// The lanes in which `f(a, b)` holds, whatever the mask.
    #[inline(always)]
    pub(crate) fn test<A: Word>(&self, [a, b]: [Slot; 2], f: impl Fn(A, A) -> bool) -> u32 {
        self.arch.dispatch(Loop(
            #[inline(always)]
            || {
                let (a, b) = (self.get::<A>(a), self.get::<A>(b));
                (0..32).fold(0, |bits, i| bits | u32::from(f(a[i], b[i])) << i)
            },
        ))
    }

    /// `d = f(a, b)` lane by lane where the lanes are unlike each other and the loop would not vectorise.
    pub(crate) fn set_each<D: Word>(&mut self, mask: u32, d: Slot, f: impl Fn(&Self, usize) -> D) {
        for lane in lanes(mask) {
            let value = f(self, lane);
            self.set_lane(d, lane, value);
        }
    }
}
