//! The files of this room against their own examples, and the room's behaviour towards an operator's folders.

mod overlays;
mod prices;
mod providers;
