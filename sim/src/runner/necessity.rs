//! Which faults a failure needs: the smallest list with which the same check is still violated.
//!
//! Every other fault stays as drawn while one is left out. Bounded by time: then the list may be too long.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use super::crew::Crew;
use super::named::Named;
use super::shrink::{self, Found, Hunt};
use super::{Settings, shrink::strikes};
use crate::faults::Struck;
use crate::report::cause::Necessary;
use crate::report::{self, Verdict, fault_text};
use crate::scenario::Scenario;

/// How long a sweep looks for the necessary faults of one cause, and of how many causes.
const TIME_IN_SWEEP: Duration = Duration::from_secs(4);
pub const CAUSES_IN_SWEEP_MAX: usize = 8;

/// The necessary faults of a failed run, as a sweep tells them. `None` where no check but the run itself broke.
pub fn in_sweep(scenario: &Scenario, verdict: &Verdict, settings: &Settings) -> Option<Necessary> {
    let first = verdict.violations.first()?;
    if report::is_breakdown(&first.slug) {
        return None;
    }
    let named = Named {
        scenario: scenario.clone(),
        seeds: verdict.seed..verdict.seed.saturating_add(1),
        without: settings.without.clone(),
    };
    let search = || -> anyhow::Result<Necessary> {
        let deadline = Instant::now() + TIME_IN_SWEEP;
        let mut crew = Crew::new(settings.jobs, settings.wall_limit, deadline)?;
        let found = shrink::find_failure(&named, Some(&first.slug), &mut crew)?;
        let mut hunt = shrink::hunt_of(&found, crew)?.quietly();
        necessary(&found, &mut hunt)
    };
    match search() {
        Ok(necessary) => Some(necessary),
        Err(error) => {
            eprintln!("warning: the necessary faults of {}@{}: {error:#}", verdict.scenario, verdict.seed);
            None
        }
    }
}

/// Leaves faults out until none can be left out any more.
pub fn necessary(found: &Found, hunt: &mut Hunt) -> anyhow::Result<Necessary> {
    shrink::leave_out_faults(hunt)?;
    let struck: Vec<&Struck> = hunt.reply().struck.iter().filter(|struck| struck.injures()).collect();
    let kinds: BTreeSet<String> =
        struck.iter().flat_map(|s| &s.did).filter_map(|did| did.kind()).map(str::to_owned).collect();
    Ok(Necessary {
        faults: struck.into_iter().map(text).collect(),
        kinds,
        of: strikes(&found.reply),
        is_bounded: !hunt.is_in_time(),
    })
}

/// What one strike did, in a few words.
fn text(struck: &Struck) -> String {
    let mut texts = struck.did.iter().filter(|did| did.kind().is_some()).map(fault_text::text);
    let first = texts.next().unwrap_or_else(|| "a fault that struck nobody".to_owned());
    match texts.count() {
        0 => first,
        more => format!("{first} and {more} more of the kind"),
    }
}
