//! Prices that come with the program.
