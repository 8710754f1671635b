//! Disjoint sets.

pub struct UnionFind {
    parent: Vec<usize>,
}

impl UnionFind {
    #[must_use]
    pub fn new(count: usize) -> Self {
        Self {
            parent: (0..count).collect(),
        }
    }
    pub fn find(&mut self, mut item: usize) -> usize {
        while self.parent[item] != item {
            self.parent[item] = self.parent[self.parent[item]];
            item = self.parent[item];
        }
        item
    }
    pub fn join(&mut self, a: usize, b: usize) {
        let (a, b) = (self.find(a), self.find(b));
        // The smaller number leads, so results do not depend on the order of joins.
        let (low, high) = (a.min(b), a.max(b));
        self.parent[high] = low;
    }
}
