//! Reads the settings, connects the rooms and runs them: `keyward serve`, and the commands that work on the data folder
//! itself. The only room that knows all others; it holds no rules of its own.

mod admin;
mod advice;
mod args;
mod background;
mod commands;
mod config;
mod data;
mod demo;
mod environment;
mod lend;
mod logs;
mod master;
mod outbound;
mod ready;
mod recover;
mod redact;
mod restore;
mod sandbox;
mod serve;
mod stop;
mod terminal;
mod tls;
mod vault;
mod wire;

pub use args::{DataArgs, Format, RecoverArgs, RestoreArgs, ServeArgs};
pub use commands::{Failed, OfflineCommand, commands};
pub use serve::serve;
