//! Things kept at a place that does not change while they live, so that others may hold the place.

use std::ops::{Index, IndexMut};

#[derive(Debug)]
pub(super) struct Slots<T> {
    places: Vec<Option<T>>,
    free: Vec<usize>,
}

impl<T> Default for Slots<T> {
    fn default() -> Self {
        Self { places: vec![], free: vec![] }
    }
}

impl<T> Slots<T> {
    pub fn insert(&mut self, thing: T) -> usize {
        match self.free.pop() {
            Some(slot) => {
                self.places[slot] = Some(thing);
                slot
            }
            None => {
                self.places.push(Some(thing));
                self.places.len() - 1
            }
        }
    }

    pub fn remove(&mut self, slot: usize) -> Option<T> {
        let thing = self.places.get_mut(slot)?.take();
        if thing.is_some() {
            self.free.push(slot);
        }
        thing
    }

    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.places.iter().flatten()
    }

    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.places.iter_mut().flatten()
    }

    pub fn len(&self) -> usize {
        self.places.len() - self.free.len()
    }
}

/// The slot is taken: whoever holds a slot is told before it is freed.
impl<T> Index<usize> for Slots<T> {
    type Output = T;

    fn index(&self, slot: usize) -> &T {
        self.places[slot].as_ref().expect("a slot is held only while it is taken")
    }
}

impl<T> IndexMut<usize> for Slots<T> {
    fn index_mut(&mut self, slot: usize) -> &mut T {
        self.places[slot].as_mut().expect("a slot is held only while it is taken")
    }
}
