//! The whole suite of the store, on both databases. Each story gets an empty database of its own.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test stops at the first thing that is wrong"
)]

mod audit;
mod backup;
mod bed;
mod budgets;
mod control;
mod credentials;
mod durability;
mod ledger;
mod ledger_model;
mod rows;
mod schema;
mod usage;
mod writes;

use bed::Bed;
use keyward_testkit::Postgres;
use std::{future::Future, pin::Pin};

type Story = (&'static str, fn(Bed) -> Pin<Box<dyn Future<Output = ()>>>);

macro_rules! stories {
    ($($file:ident::$story:ident),* $(,)?) => {
        &[$((concat!(stringify!($file), "::", stringify!($story)), |bed| Box::pin($file::$story(bed)))),*]
    };
}

const STORIES: &[Story] = stories![
    schema::every_statement_prepares,
    schema::nodes_may_start_at_once,
    schema::every_table_is_in_a_backup,
    schema::a_database_of_a_newer_version_is_refused,
    writes::nothing_is_kept_without_an_audit_entry,
    writes::audit_rows_are_numbered_without_gaps,
    writes::a_failed_statement_spoils_the_whole_write,
    writes::concurrent_writes_run_one_after_the_other,
    writes::others_hear_of_changes,
    audit::nothing_is_written_before_somebody_seals,
    audit::the_highest_version_of_every_record_is_told,
    audit::odd_texts_are_told_as_they_are,
    audit::a_version_is_reached_once,
    audit::what_was_changed_in_the_log_is_found,
    audit::what_is_missing_from_the_log_is_found,
    control::projects_and_environments,
    control::keys_are_listed_in_pages,
    control::keys_with_odd_texts_are_handed_over_as_they_are,
    control::tokens_keyring_recovery_and_facts,
    control::jobs_are_held_by_one_node,
    budgets::budgets_are_listed_by_scope_and_state,
    budgets::rates_of_scopes,
    budgets::the_last_change_of_a_record_is_told,
    credentials::versions_and_health,
    credentials::rewrapping_goes_on_where_it_stopped,
    usage::every_field_of_a_call_comes_back,
    usage::totals_are_grouped_and_filtered,
    usage::an_event_counts_once,
    usage::two_nodes_count_each_event_once,
    usage::hostile_values_do_no_harm,
    usage::retention_drops_days_and_keeps_totals,
    usage::objects_positions_and_last_use,
    ledger::a_wish_gets_what_is_left,
    ledger::nodes_that_ask_at_once_never_get_more_than_the_limit,
    ledger::a_call_is_booked_once,
    ledger::holds_end_with_their_calls,
    ledger::a_rolling_budget_counts_by_slots,
    ledger::a_call_that_cost_more_is_booked_whole,
    ledger::what_a_node_leaves_goes_back_or_is_charged,
    ledger::a_node_that_was_reclaimed_goes_on,
    ledger::what_was_reclaimed_of_a_rolling_budget,
    ledger::a_node_that_was_given_up_gets_no_more,
    ledger::what_fails_leaves_nothing_behind,
    ledger::calls_whose_holds_were_left_out_are_booked_like_others,
    ledger::thresholds_are_noted_once,
    ledger::a_restore_charges_what_was_leased,
    ledger_model::accounts_follow_from_the_ledger,
    backup::a_backup_restores_into_either_database,
    backup::a_restore_is_all_or_nothing,
    durability::acknowledged_writes_survive_a_kill,
];

fn tell(database: &str, bed: impl Fn() -> Bed) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    for (name, story) in STORIES {
        println!("{database}: {name}");
        runtime.block_on(story(bed()));
    }
}

#[test]
fn sqlite() {
    tell("sqlite", Bed::file);
}

#[test]
fn postgres() {
    let server = Postgres::start();
    tell("postgres", || Bed::postgres(&server));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(durability::postgres_errors_are_told_apart(Bed::postgres(&server)));
    runtime.block_on(durability::a_database_that_went_away_is_said(Bed::postgres(&server), server));
}
