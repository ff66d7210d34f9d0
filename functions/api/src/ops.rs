//! The operators' routes: activity, circuits, parked orders, dead letters, and what needs a person.

pub(crate) mod activity;
pub(crate) mod attention;
pub(crate) mod circuits;
pub(crate) mod dead_letters;
pub(crate) mod parked;
