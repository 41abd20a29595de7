//! The one list of scenarios, from which tests, reports and counts are made.

#[doc(hidden)]
#[macro_export]
macro_rules! __conformance_list {
    ($then:path { $($with:tt)* }) => {
        $then! {
            { $($with)* }
            Driver basics Nothing {
                an_absent_key_is_none_for_every_call
                a_put_is_read_back_with_its_revision
                the_last_put_wins
                an_empty_value_is_present
                a_deleted_key_is_absent_and_its_neighbour_is_not
                values_of_every_size_come_back_whole
                keys_of_every_kind_are_kept_apart
                the_two_spaces_never_meet
                revisions_of_a_key_grow_also_over_removal
                no_two_writes_share_a_revision
                a_value_beyond_the_limit_is_too_large_and_changes_nothing
                the_largest_value_is_as_large_as_the_driver_says
                thousands_of_keys_come_and_go
            }
            Driver basics LargeValues {
                values_of_megabytes_come_back_whole
            }
            Driver ranges Nothing {
                a_range_is_ordered_by_the_bytes_of_keys
                a_prefix_takes_what_begins_so_and_nothing_else
                a_range_begins_after_the_key_it_is_told
                a_range_is_no_longer_than_its_limit
                pages_meet_without_gap_or_overlap
                a_range_brings_values_only_when_asked
                keys_that_nobody_changes_are_in_every_range
                only_the_asked_for_see_what_is_dead
            }
            Driver commits Nothing {
                a_commit_does_all_its_operations_and_answers_each
                a_commit_without_operations_only_checks
                expectations_that_hold_let_a_commit_pass
                an_expectation_that_fails_names_key_and_revision
                a_conflict_is_the_first_that_fails_and_changes_nothing
                expectations_look_into_the_space_they_name
                the_most_operations_work_and_one_more_is_too_large
                a_commit_with_a_value_beyond_the_limit_does_nothing
                of_many_who_expect_the_same_revision_one_wins
                of_many_who_expect_absence_one_wins
            }
            Driver integers Nothing {
                an_add_creates_what_is_missing
                adds_sum_up_and_are_messagepack
                every_encoding_of_an_integer_can_be_added_to
                an_overflow_changes_nothing
                what_is_no_integer_is_a_type_mismatch
                concurrent_adds_get_distinct_results
                an_integer_that_is_being_created_loses_no_add
                an_add_makes_an_older_expectation_fail
            }
            Driver lifetimes Nothing {
                an_entry_with_a_time_is_there_until_it_is_up
                what_remains_of_a_time_can_be_read
                a_very_long_time_is_no_short_one
                no_time_at_all_is_over_at_once
                a_plain_put_takes_the_time_limit_away
                keep_keeps_the_lifetime_there_is
                keep_means_forever_where_nothing_is_left
                an_add_keeps_the_lifetime
                an_entry_of_this_process_names_its_owner
                an_expired_entry_counts_as_absent_everywhere
                expired_entries_leave_nothing_behind
            }
            Driver whole Nothing {
                a_snapshot_holds_every_live_entry_in_order
                a_replace_leaves_exactly_its_entries_below_its_prefix
                a_replace_by_nothing_clears
                a_replace_has_no_limit_on_its_entries
                a_snapshot_never_mixes_two_replacements
                a_replace_is_a_change_for_who_waits
            }
            Driver waiting Nothing {
                a_wait_for_what_has_changed_already_returns_at_once
                patience_runs_out_when_nothing_changes
                every_kind_of_change_wakes_who_waits
                any_of_several_keys_wakes_who_waits
                a_change_of_another_key_wakes_nobody
                an_expiry_ends_the_wait
                no_change_between_looking_and_waiting_is_missed
                a_stop_ends_the_wait
                the_version_grows_with_every_change
                a_wait_for_the_version_ends_with_the_next_change
            }
            Driver prefixes Nothing {
                a_prefix_watch_begins_with_what_is_there
                a_prefix_watch_tells_what_changes
                a_prefix_watch_ends_with_the_last_state
                a_prefix_watch_can_be_stopped
            }
            Driver crowds Nothing {
                money_that_is_moved_is_neither_made_nor_lost
                readers_never_see_half_a_value
                many_threads_each_keep_their_own_keys
                a_commit_is_seen_by_single_reads_in_one_piece
                random_operations_agree_with_a_plain_map
            }
            Driver session Nothing {
                i_am_alive_and_listed
                figures_follow_what_is_stored
                a_used_store_verifies_without_problems
                a_destroyed_store_is_gone_for_who_still_uses_it
                a_revision_of_another_world_fits_nowhere
            }
            Driver gate Gate {
                a_closed_gate_locks_others_out_of_every_call
                who_closed_the_gate_passes_it
                coordination_goes_on_while_the_gate_is_closed
                a_limit_is_waited_for_and_not_much_less
                an_opened_gate_lets_those_in_who_wait
                two_cannot_close_the_gate_at_once
                a_gate_closed_twice_by_one_thread_is_a_deadlock
                a_forced_gate_is_open_and_its_holder_is_out
                a_stop_ends_the_wait_for_the_gate
                reading_and_writing_behind_the_gate_loses_nothing
                no_write_falls_into_somebodys_closed_gate
            }
            Handle values LargeValues {
                large_values_come_back_whole
            }
            Handle values Nothing {
                values_of_all_kinds_come_back
                what_is_empty_or_false_is_present_and_null_is_not
                null_is_stored_and_counts_but_has_no_value
                deep_values_come_back_whole
                bytes_are_bytes_and_nothing_else
                encoded_values_pass_as_they_are
                a_write_that_cannot_be_encoded_keeps_the_old_value
                removing_takes_one_key_and_never_complains
                an_entry_with_a_ttl_is_listed_until_it_expires
                a_set_ends_the_ttl_and_other_changes_keep_it
                an_entry_of_a_living_process_stays
            }
            Handle integers Nothing {
                a_missing_integer_is_known_as_zero_and_refresh_says_absent
                a_missing_integer_is_created_by_the_first_step
                what_is_known_stays_until_the_integer_is_asked
                handles_of_one_integer_share_what_is_known
                sixteen_who_create_one_integer_get_sixteen_results
                an_integer_at_its_limit_stays_there
                an_integer_is_a_value_like_any_other
                an_integer_of_a_bad_name_fails_when_it_is_used
            }
            Handle names Nothing {
                keys_of_any_language_and_length_work
                an_empty_key_and_one_too_long_are_invalid_for_every_call
                namespaces_keep_equal_names_apart
                a_namespace_is_not_what_only_begins_like_it
                namespaces_nest_and_the_outer_one_covers_the_inner
                everything_in_a_namespace_goes_by_its_short_name
            }
            Handle updates Nothing {
                an_update_sees_the_old_value_and_leaves_the_new
                an_update_to_an_equal_value_is_still_a_write
                updates_of_many_threads_are_all_counted
                an_update_that_fails_or_panics_changes_nothing
                compare_and_set_changes_only_what_it_expects
                a_map_that_is_walked_unchanged_stays_byte_for_byte
                update_each_writes_what_changed_and_removes_what_is_none
                a_missing_value_is_computed_once
                a_computation_that_panics_is_taken_over
                a_computation_that_asks_for_itself_is_a_deadlock
                a_value_set_meanwhile_is_what_all_get
            }
            Handle transactions Nothing {
                a_transaction_writes_all_it_says
                a_transaction_sees_its_own_writes
                a_transaction_that_fails_or_panics_changes_nothing
                a_transaction_has_a_largest_size
                transfers_keep_the_sum_at_every_moment
                a_closure_never_sees_half_of_a_transaction
                of_two_transactions_that_read_each_others_keys_one_sees_the_other
            }
            Handle whole Nothing {
                the_whole_is_read_and_replaced_as_a_map
                a_replacement_outside_its_prefix_is_refused
                a_copy_of_the_whole_is_of_one_moment
                writes_of_many_threads_meet_in_one_map
            }
            Handle watches Nothing {
                a_watch_begins_with_the_state_and_goes_on_with_changes
                a_watch_of_what_is_missing_begins_with_its_creation
                changes_are_coalesced_but_the_last_is_told
                several_keys_are_watched_together
                an_expiry_is_told_as_one
                a_prefix_is_watched_with_all_its_keys
                a_watch_can_be_stopped_from_elsewhere
                a_watcher_in_another_thread_misses_no_last_state
            }
            Handle locks Nothing {
                a_lock_is_held_by_one_until_it_is_released
                who_comes_later_holds_after_the_release
                a_lock_is_handed_over_in_order_of_arrival
                waiting_takes_nothing_and_creates_nothing
                a_wait_ends_with_the_holding_it_saw
                a_forced_lock_is_free_and_its_owner_learns_it
                a_forced_lock_wakes_all_who_wait
                a_lock_taken_twice_by_one_thread_is_a_deadlock
                a_thread_that_waits_for_its_own_lock_is_told
                a_guard_may_be_released_by_another_thread
                a_limit_on_waiting_names_the_holder_and_leaves_nothing
                who_gives_up_in_the_queue_lets_the_next_move_up
                a_wait_for_a_lock_can_be_stopped
                locks_of_other_kinds_and_namespaces_are_others
                names_of_locks_are_checked
                tokens_grow_and_say_who_may_release
                what_is_kept_is_released_with_its_token
                a_lock_is_held_for_another_owner
            }
            Handle spans Nothing {
                a_time_limit_keeps_others_out_while_it_lasts
                a_time_limit_ends_a_holding_though_nobody_contends
                who_waits_gets_an_expired_lock
                an_extended_lock_stays
                extending_and_contending_never_make_two_holders
                a_least_time_keeps_others_out_after_the_release
                what_is_limited_leaves_nothing_for_ever
                many_share_a_lock_and_one_has_it_alone
                all_who_share_are_let_in_together
                who_shares_does_not_overtake_who_wants_it_alone
                a_semaphore_lets_in_as_many_as_it_has_permits
                the_first_use_fixes_the_permits
            }
            Handle leaders Nothing {
                one_of_two_leads_and_then_the_other
                a_leader_may_be_elected_again
                groups_do_not_know_each_other
                a_forced_leader_is_told_once
                a_leader_with_a_time_limit_renews_itself
                followers_see_the_leaders_one_after_the_other
                an_election_can_be_stopped
                of_many_candidates_one_leads_at_a_time
            }
            Handle exclusive Gate {
                exclusive_access_makes_others_wait
                eight_who_read_and_write_under_it_lose_nothing
                waiting_for_exclusive_access_has_a_limit
                the_same_thread_is_told_of_its_deadlock
                who_is_forced_out_is_told_at_the_next_write
                everything_works_inside
            }
        }
    };
}
