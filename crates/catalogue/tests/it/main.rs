//! The files of this room against their own examples, and the room's behaviour towards an operator's folders.

#[cfg(test)]
mod overlays;
#[cfg(test)]
mod prices;
#[cfg(test)]
mod providers;
