//! A line in which everyone can be told their place: an ordered set that also answers how many
//! stand before a key, in O(log n), which the ordered sets of the standard library do not.
//!
//! A weight-balanced tree (Adams, with the parameters ⟨3, 2⟩ proved sound by Hirai and Yamamoto,
//! "Balancing weight-balanced trees", 2011) whose nodes live in one vector.

use std::cmp::Ordering;

const NIL: u32 = u32::MAX;
/// One side may weigh this many times the other.
const LOPSIDED: usize = 3;
/// An inner child lighter than this many times the outer one needs only a single rotation.
const INNER: usize = 2;

#[derive(Clone, Debug)]
pub(super) struct Line<K> {
    nodes: Vec<Node<K>>,
    root: u32,
    /// Vacant places in `nodes`.
    spare: Vec<u32>,
}

#[derive(Clone, Debug)]
struct Node<K> {
    key: K,
    left: u32,
    right: u32,
    /// Keys in this subtree.
    size: usize,
}

impl<K> Default for Line<K> {
    fn default() -> Self {
        Self { nodes: Vec::new(), root: NIL, spare: Vec::new() }
    }
}

impl<K: Copy + Ord> Line<K> {
    pub fn is_empty(&self) -> bool {
        self.root == NIL
    }

    /// The key must not stand in the line yet.
    pub fn insert(&mut self, key: K) {
        let leaf = Node { key, left: NIL, right: NIL, size: 1 };
        let at = match self.spare.pop() {
            Some(at) => {
                self.nodes[at as usize] = leaf;
                at
            }
            None => {
                self.nodes.push(leaf);
                // Four thousand million contacts do not wait at once.
                (self.nodes.len() - 1) as u32
            }
        };
        self.root = self.attach(self.root, at);
    }

    /// A key that is not there is no harm.
    pub fn remove(&mut self, key: &K) {
        self.root = self.detach(self.root, key);
    }

    pub fn first(&self) -> Option<&K> {
        let mut at = self.nodes.get(self.root as usize)?;
        while let Some(left) = self.nodes.get(at.left as usize) {
            at = left;
        }
        Some(&at.key)
    }

    /// The first key that is not before `key`.
    pub fn first_from(&self, key: &K) -> Option<&K> {
        let (mut at, mut found) = (self.root, None);
        while let Some(node) = self.nodes.get(at as usize) {
            at = if node.key < *key {
                node.right
            } else {
                found = Some(&node.key);
                node.left
            };
        }
        found
    }

    /// How many keys stand before `key`, whether or not it stands in the line itself.
    pub fn before(&self, key: &K) -> usize {
        let (mut at, mut before) = (self.root, 0);
        while let Some(node) = self.nodes.get(at as usize) {
            at = if node.key < *key {
                before += self.size(node.left) + 1;
                node.right
            } else {
                node.left
            };
        }
        before
    }

    fn size(&self, at: u32) -> usize {
        self.nodes.get(at as usize).map_or(0, |node| node.size)
    }

    fn weight(&self, at: u32) -> usize {
        self.size(at) + 1
    }

    fn node(&mut self, at: u32) -> &mut Node<K> {
        &mut self.nodes[at as usize]
    }

    /// Hangs `leaf` below `at`; returns the subtree's new root, as all below do.
    fn attach(&mut self, at: u32, leaf: u32) -> u32 {
        if at == NIL {
            return leaf;
        }
        if self.nodes[leaf as usize].key < self.nodes[at as usize].key {
            let left = self.nodes[at as usize].left;
            self.node(at).left = self.attach(left, leaf);
        } else {
            let right = self.nodes[at as usize].right;
            self.node(at).right = self.attach(right, leaf);
        }
        self.balance(at)
    }

    fn detach(&mut self, at: u32, key: &K) -> u32 {
        if at == NIL {
            return NIL;
        }
        let Node { key: here, left, right, .. } = self.nodes[at as usize];
        match key.cmp(&here) {
            Ordering::Less => self.node(at).left = self.detach(left, key),
            Ordering::Greater => self.node(at).right = self.detach(right, key),
            Ordering::Equal => {
                self.spare.push(at);
                return self.join(left, right);
            }
        }
        self.balance(at)
    }

    fn join(&mut self, left: u32, right: u32) -> u32 {
        if left == NIL || right == NIL {
            return left.min(right);
        }
        let (first, rest) = self.detach_first(right);
        self.node(first).left = left;
        self.node(first).right = rest;
        self.balance(first)
    }

    fn detach_first(&mut self, at: u32) -> (u32, u32) {
        let Node { left, right, .. } = self.nodes[at as usize];
        if left == NIL {
            return (at, right);
        }
        let (first, left) = self.detach_first(left);
        self.node(at).left = left;
        (first, self.balance(at))
    }

    fn balance(&mut self, at: u32) -> u32 {
        let Node { left, right, .. } = self.nodes[at as usize];
        if self.weight(left) + self.weight(right) > LOPSIDED {
            if self.weight(right) > LOPSIDED * self.weight(left) {
                let Node { left: inner, right: outer, .. } = self.nodes[right as usize];
                if self.weight(inner) >= INNER * self.weight(outer) {
                    self.node(at).right = self.rotate_right(right);
                }
                return self.rotate_left(at);
            }
            if self.weight(left) > LOPSIDED * self.weight(right) {
                let Node { left: outer, right: inner, .. } = self.nodes[left as usize];
                if self.weight(inner) >= INNER * self.weight(outer) {
                    self.node(at).left = self.rotate_left(left);
                }
                return self.rotate_right(at);
            }
        }
        self.resize(at);
        at
    }

    fn rotate_left(&mut self, at: u32) -> u32 {
        let up = self.node(at).right;
        self.node(at).right = self.node(up).left;
        self.node(up).left = at;
        self.resize(at);
        self.resize(up);
        up
    }

    fn rotate_right(&mut self, at: u32) -> u32 {
        let up = self.node(at).left;
        self.node(at).left = self.node(up).right;
        self.node(up).right = at;
        self.resize(at);
        self.resize(up);
        up
    }

    fn resize(&mut self, at: u32) {
        let Node { left, right, .. } = self.nodes[at as usize];
        self.node(at).size = self.size(left) + self.size(right) + 1;
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::base::Mint;

    #[test]
    fn places_are_those_of_a_sorted_list() {
        let mut mint = Mint::new([3; 32]);
        let (mut line, mut plain) = (Line::default(), BTreeSet::new());
        for step in 0..20_000 {
            let key = mint.u32() % 700;
            // Grow first, then hover, then empty.
            let removing = mint.u32() % 100 < if step < 2000 { 10 } else { 50 + step / 1000 };
            if removing || plain.contains(&key) {
                line.remove(&key);
                plain.remove(&key);
            } else {
                line.insert(key);
                plain.insert(key);
            }
            let probe = mint.u32() % 700;
            assert_eq!(line.size(line.root), plain.len());
            assert_eq!(line.first(), plain.first());
            assert_eq!(line.first_from(&probe), plain.range(probe..).next());
            assert_eq!(line.before(&probe), plain.range(..probe).count());
        }
    }

    #[test]
    fn a_long_line_that_only_moves_forward_stays_shallow() {
        let mut line = Line::default();
        for n in 0..30_000u32 {
            line.insert(n);
            if n >= 10_000 {
                let first = *line.first().unwrap();
                assert_eq!(first, n - 10_000);
                line.remove(&first);
            }
        }
        fn depth(line: &Line<u32>, at: u32) -> usize {
            let Some(node) = line.nodes.get(at as usize) else { return 0 };
            1 + depth(line, node.left).max(depth(line, node.right))
        }
        // Weights of at most 3 : 1 bound the depth by log 10 000 / log 4⁄3.
        assert!(depth(&line, line.root) <= 33);
        assert!(line.nodes.len() <= 10_002, "vacant places are used again");
    }
}
