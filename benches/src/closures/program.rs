//! What is computed by forking and joining, down to the smallest parts.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use super::ForkJoin;
use crate::rng::SplitMix;

/// A program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Program {
    /// The Fibonacci number of that index, by the slow recursion.
    Fib(u32),
    /// The sum of a tree of so many nodes.
    SumTree(u32),
}

/// A program with what it works on.
#[derive(Clone, Copy, Debug)]
pub enum Loaded {
    /// See [`Program::Fib`].
    Fib(u32),
    /// See [`Program::SumTree`].
    SumTree(&'static Tree),
}

/// A balanced binary tree whose nodes lie in random order: in the order of the walk, the processor would fetch nodes ahead
/// for a walk on one core only.
#[derive(Debug)]
pub struct Tree {
    nodes: Vec<Node>,
    root: u32,
}

#[derive(Clone, Copy, Debug)]
struct Node {
    value: u64,
    /// Places of the children; those of a leaf are its own.
    children: [u32; 2],
}

impl Program {
    /// Makes what it works on, once for all samples.
    #[must_use]
    pub fn load(self) -> Loaded {
        static TREES: Mutex<BTreeMap<u32, &'static Tree>> = Mutex::new(BTreeMap::new());
        match self {
            Self::Fib(index) => Loaded::Fib(index),
            Self::SumTree(nodes) => {
                let mut trees = TREES.lock().unwrap_or_else(PoisonError::into_inner);
                let tree = trees
                    .entry(nodes)
                    .or_insert_with(|| Box::leak(Box::new(Tree::new(nodes))));
                Loaded::SumTree(tree)
            }
        }
    }
}

impl Loaded {
    /// Computes it.
    pub fn run<P: ForkJoin>(self, site: &mut P::Site<'_>) -> u64 {
        match self {
            Self::Fib(index) => fib::<P>(site, index),
            Self::SumTree(tree) => tree.sum::<P>(site, tree.root),
        }
    }
}

fn fib<P: ForkJoin>(site: &mut P::Site<'_>, index: u32) -> u64 {
    if index < 2 {
        return index.into();
    }
    let (one, two) = P::join(
        site,
        |site| fib::<P>(site, index - 1),
        |site| fib::<P>(site, index - 2),
    );
    one + two
}

impl Tree {
    /// A full tree: the number of nodes is one less than a power of two.
    fn new(nodes: u32) -> Self {
        assert!((nodes + 1).is_power_of_two(), "a full tree");
        let mut places: Vec<u32> = (0..nodes).collect();
        SplitMix::new(27).shuffle(&mut places);
        let place = |number: u32| places.get(number as usize).copied();
        let leaf = Node {
            value: 0,
            children: [0, 0],
        };
        let mut list = vec![leaf; nodes as usize];
        for number in 0..nodes {
            let here = places[number as usize];
            let child = |child| place(child).unwrap_or(here);
            list[here as usize] = Node {
                value: number.into(),
                children: [child(2 * number + 1), child(2 * number + 2)],
            };
        }
        Self {
            nodes: list,
            root: places[0],
        }
    }

    fn sum<P: ForkJoin>(&self, site: &mut P::Site<'_>, place: u32) -> u64 {
        let Node { value, children } = self.nodes[place as usize];
        if children == [place; 2] {
            return value;
        }
        let (left, right) = P::join(
            site,
            |site| self.sum::<P>(site, children[0]),
            |site| self.sum::<P>(site, children[1]),
        );
        value + left + right
    }
}

#[cfg(test)]
mod tests {
    use super::super::plain::Plain;
    use super::*;

    #[test]
    fn the_programs_compute_what_they_say() {
        assert_eq!(Program::Fib(20).load().run::<Plain>(&mut ()), 6_765);
        let sum = Program::SumTree(1_023).load().run::<Plain>(&mut ());
        assert_eq!(sum, 1_023 * 1_022 / 2);
    }
}
