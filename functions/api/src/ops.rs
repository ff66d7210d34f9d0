//! What operators see and do: circuits, orders that wait, and what needs a person.

pub(crate) mod attention;
pub(crate) mod circuits;
pub(crate) mod parked;
