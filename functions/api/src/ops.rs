//! What operators see and do: how much is going on, circuits, orders that wait, events that nobody could
//! deal with, and what needs a person.

pub(crate) mod activity;
pub(crate) mod attention;
pub(crate) mod circuits;
pub(crate) mod dead_letters;
pub(crate) mod parked;
