//! The hunt for a smaller run that fails in the same check: what is best so far, and how candidates are tried.

use std::collections::BTreeSet;
use std::io::{BufReader, IsTerminal, Write};
use std::time::Instant;

use seedlog::rules::Rule;
use seedlog::runtime::sim::net::messages::Message;

use crate::history::{self, Entry};
use crate::report::{Verdict, timeline};
use crate::runner::crew::Crew;
use crate::runner::picture::MESSAGES_FILE;
use crate::runner::worker::{HISTORY_FILE, Job, Keep, Reply};
use crate::scenario::{Document, Scenario};

/// A run that may be smaller.
#[derive(Clone, Debug)]
pub struct Candidate {
    pub document: Document,
    pub seed: u64,
}

pub struct Hunt {
    crew: Crew,
    /// How the scenario is called; a change of it would not change the run.
    name: String,
    without: Vec<Rule>,
    /// The slug of the check that must stay violated.
    check: String,
    best: Candidate,
    /// What the best candidate's run told.
    reply: Reply,
    /// Texts and seeds that were tried: none is run twice.
    tried: BTreeSet<(u64, String)>,
    started: Instant,
    is_quiet: bool,
}

impl Hunt {
    /// Begins with a run that fails in `check`.
    pub fn new(crew: Crew, name: &str, without: &[Rule], check: &str, best: Candidate, reply: Reply) -> Hunt {
        Hunt {
            crew,
            name: name.to_owned(),
            without: without.to_vec(),
            check: check.to_owned(),
            best,
            reply,
            tried: BTreeSet::new(),
            started: Instant::now(),
            is_quiet: false,
        }
    }

    /// Tells no progress.
    pub fn quietly(mut self) -> Hunt {
        self.is_quiet = true;
        self
    }

    pub fn best(&self) -> &Candidate {
        &self.best
    }

    /// The best candidate's reply.
    pub fn reply(&self) -> &Reply {
        &self.reply
    }

    pub fn check(&self) -> &str {
        &self.check
    }

    pub fn without(&self) -> &[Rule] {
        &self.without
    }

    pub fn runs(&self) -> u64 {
        self.crew.runs()
    }

    pub fn is_in_time(&self) -> bool {
        self.crew.is_in_time()
    }

    pub fn started(&self) -> Instant {
        self.started
    }

    /// The best candidate as a checked scenario.
    pub fn scenario(&self) -> Scenario {
        let text = self.best.document.text();
        Scenario::parse(&self.name, &self.name, &text).expect("it was parsed before it ran")
    }

    /// The first of the candidates, in their order, that still fails becomes the best one.
    pub fn improve(&mut self, candidates: Vec<Candidate>) -> anyhow::Result<Option<usize>> {
        self.improve_if(candidates, |_| true)
    }

    /// As [`Hunt::improve`], if what the run told is as wanted besides.
    pub fn improve_if(
        &mut self,
        candidates: Vec<Candidate>,
        is_wanted: impl Fn(&Reply) -> bool + Sync,
    ) -> anyhow::Result<Option<usize>> {
        let mut jobs = Vec::new();
        let mut places = Vec::new();
        for (place, candidate) in candidates.iter().enumerate() {
            let text = candidate.document.text();
            // What the parser refuses is no smaller scenario.
            if self.tried.insert((candidate.seed, text.clone()))
                && let Some(job) = self.job(&text, candidate.seed)
            {
                jobs.push(job);
                places.push(place);
            }
        }
        let check = self.check.clone();
        let found = self.crew.first(&jobs, |reply| violates(&reply.verdict, &check) && is_wanted(reply))?;
        let Some((at, reply)) = found else { return Ok(None) };
        self.reply = reply;
        let place = places[at];
        self.best = candidates.into_iter().nth(place).expect("a place among them");
        Ok(Some(place))
    }

    /// The history of the best candidate's run.
    pub fn history(&mut self) -> anyhow::Result<Vec<Entry>> {
        Ok(self.records()?.0)
    }

    /// The history of the best candidate's run, and what was said over the network.
    pub fn records(&mut self) -> anyhow::Result<(Vec<Entry>, Vec<Message>)> {
        let folder = std::env::temp_dir().join(format!("seedlog-sim-shrink-{}", std::process::id()));
        let text = self.best.document.text();
        let mut job = self.job(&text, self.best.seed).expect("it was parsed before it ran");
        job.compare_in = Some(folder.clone());
        self.crew.run(&job)?;
        let open = |name: &str| std::fs::File::open(folder.join(name)).map(BufReader::new);
        let history = history::read_json_lines(open(HISTORY_FILE)?)?;
        let messages = timeline::read_messages(open(MESSAGES_FILE)?)?;
        std::fs::remove_dir_all(&folder)?;
        Ok((history, messages))
    }

    /// The verdict over any text and seed, with these rules suspended.
    pub fn verdict(&mut self, text: &str, seed: u64, without: &[Rule]) -> anyhow::Result<Verdict> {
        let scenario = Scenario::parse(&self.name, &self.name, text)?;
        Ok(self.crew.run(&Job::new(&scenario, seed, without, Keep::Never))?.verdict)
    }

    fn job(&self, text: &str, seed: u64) -> Option<Job> {
        let scenario = Scenario::parse(&self.name, &self.name, text).ok()?;
        Some(Job::new(&scenario, seed, &self.without, Keep::Never))
    }

    /// Says on stderr how far it is.
    pub fn tell(&self, doing: &str) {
        if self.is_quiet {
            return;
        }
        let faults = strikes(&self.reply);
        let seconds = self.started.elapsed().as_secs_f64();
        let line = format!("shrink: {doing}; {faults} faults left, {} runs, {seconds:.1} s", self.runs());
        let mut stderr = std::io::stderr().lock();
        // Progress that cannot be told is no reason to stop.
        let _untold = if stderr.is_terminal() {
            write!(stderr, "\r\x1b[K{line}").and_then(|()| stderr.flush())
        } else {
            writeln!(stderr, "{line}")
        };
    }

    /// Takes the progress off a terminal.
    pub fn clear(&self) {
        if !self.is_quiet && std::io::stderr().is_terminal() {
            eprint!("\r\x1b[K");
        }
    }
}

/// Whether a verdict violates the check of this slug.
pub fn violates(verdict: &Verdict, check: &str) -> bool {
    verdict.violations.iter().any(|violation| violation.slug == check)
}

/// How many faults struck in a run: what one draw or one step did counts as one.
pub fn strikes(reply: &Reply) -> usize {
    reply.struck.iter().filter(|struck| struck.injures()).count()
}
