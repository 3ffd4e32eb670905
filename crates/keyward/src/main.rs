//! The program: `serve` and what works on the data folder itself go to the server's room, everything else to the
//! client's. Nothing is decided here.

use keyward_cli::{Guest, failure::Failure};
use keyward_server::{Failed, OfflineCommand};
use std::process::ExitCode;

#[global_allocator]
static HEAP: keyward_heap::Heap = keyward_heap::Heap;

fn main() -> ExitCode {
    keyward_cli::run(std::env::args_os(), &guests())
}

/// The server's commands, to hang into the client's tree.
fn guests() -> Vec<Guest> {
    keyward_server::commands()
        .into_iter()
        .map(|OfflineCommand { parent, command, run }| Guest {
            parent,
            command,
            run: Box::new(move |matches| run(matches).map_err(failure)),
        })
        .collect()
}

/// The server speaks of its errors as the client does: what is wrong, then what to do.
fn failure(failed: Failed) -> Failure {
    failed.hints.into_iter().fold(Failure::failed(failed.error), Failure::hint)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_of_the_server_hangs_in_the_tree() {
        let guests = guests();
        let tree = keyward_cli::command(&guests);
        tree.clone().debug_assert();
        for guest in &guests {
            let place = guest.parent.iter().try_fold(&tree, |place, name| place.find_subcommand(name));
            let found = place.and_then(|place| place.find_subcommand(guest.command.get_name()));
            let found = found.expect("the command is in the tree");
            let help = found.clone().render_help().to_string();
            assert!(help.contains("Example"), "{} has no example", guest.command.get_name());
        }
        assert_eq!(guests.len(), 3, "serve, restore, vault recover");
    }
}
