//! The main of it once more over the oldest NATS that is supported.

use reef_servers::Nats;

use super::{apps, hosts, links, wadm};

#[test]
fn applications_are_spread_changed_and_deleted() {
    apps::comes_changes_and_goes(Nats::Oldest);
}

#[test]
fn a_killed_host_is_replaced_and_a_drained_one_left() {
    hosts::one_is_killed_and_one_drained(Nats::Oldest);
}

#[test]
fn a_link_goes_from_host_to_host() {
    links::goes_over_the_bus_or_not(Nats::Oldest);
}

#[test]
fn clients_of_wadm_are_served() {
    wadm::puts_deploys_looks_and_deletes(Nats::Oldest);
}
