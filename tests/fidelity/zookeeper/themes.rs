//! What programs on ZooKeeper are drawn from. But for those that race, each has one outcome: whoever looks has its server catch
//! up before. In `racing` ones two sessions do something at once, up to three times.

use super::{Mode, Step, Watching, Write};
use crate::program::{Draws, Limits, Program};

pub const THEMES: [&str; 5] = ["one-session", "two-sessions", "racing", "expiry", "cut-follower"];

const STEPS: std::ops::Range<u64> = 8..24;

/// Data of a node are shorter.
const BYTES_MAX: u64 = 9;

/// An expiry takes seconds, and one program alone may cut the follower: of those every tenth is drawn, and these at least.
const FEW: u64 = 12;

/// How many programs of a theme there are where others have `count`.
pub fn count_of(theme: &str, count: u64) -> u64 {
    match theme {
        "expiry" | "cut-follower" => (count / 10).max(FEW.min(count)),
        _ => count,
    }
}

/// The program of a theme and a seed.
pub fn draw(theme: &str, seed: u64) -> Program {
    let mut draws = Draws::new(&format!("zookeeper/{theme}"), seed);
    let count = STEPS.start + draws.below(STEPS.end - STEPS.start);
    let sessions = if theme == "one-session" { 1 } else { 2 };
    let mut steps: Vec<Step> = (0..sessions).map(Step::Open).collect();
    let last = sessions - 1;
    steps.push(Step::Create(0, "/a".to_owned(), Mode::Persistent, 1));
    steps.push(Step::Create(last, "/a/b".to_owned(), Mode::Persistent, 2));
    steps.push(Step::Create(last, "/e".to_owned(), Mode::Ephemeral, 0));
    steps.extend((0..count).map(|_| Drawn { draws: &mut draws, sessions, only_looks: None }.step()));
    match theme {
        "racing" => races(&mut draws, &mut steps),
        "expiry" => expiry(&mut draws, &mut steps),
        "cut-follower" => cut(&mut draws, &mut steps),
        _ => {}
    }
    steps.extend((0..sessions).map(Step::Told));
    steps.extend((0..sessions).map(|number| Step::Children(number, String::new(), Watching::Look)));
    let data = |step| serde_json::to_value(step).expect("a step is data");
    let steps = steps.into_iter().map(data).collect();
    Program { name: format!("zookeeper/{theme}/{seed}"), limits: Limits::default(), steps }
}

fn races(draws: &mut Draws, steps: &mut Vec<Step>) {
    for _ in 0..=draws.below(3) {
        let mut of = |number| {
            let mut drawn = Drawn { draws, sessions: 1, only_looks: None };
            let step = if drawn.draws.below(4) == 0 { drawn.look() } else { drawn.write() };
            Box::new(as_of(step, number))
        };
        let (one, mut other) = (of(0), of(1));
        if let (Some(path), Some(there)) = (path_of(&mut one.clone()), path_of(&mut other))
            && draws.below(4) > 0
        {
            there.clone_from(path);
        }
        insert(draws, steps, Step::AtOnce(one, other));
    }
}

fn expiry(draws: &mut Draws, steps: &mut Vec<Step>) {
    let number = draws.below(2) as u8;
    let ephemeral = Step::Create(number, "/e".to_owned(), Mode::Ephemeral, 0);
    let watch = Step::Exists(1 - number, "/e".to_owned(), Watching::Watch);
    let (told, again) = (Step::Told(1 - number), Step::Open(number));
    let at = 4 + draws.below(steps.len() as u64 - 4) as usize;
    let open = [Step::Open(number), Step::Open(1 - number)];
    steps.splice(at..at, open.into_iter().chain([ephemeral, watch, Step::Leave(number), told, again]));
}

/// While it is cut the second session only looks, and arms nothing.
fn cut(draws: &mut Draws, steps: &mut Vec<Step>) {
    let at = 4 + draws.below(steps.len() as u64 - 4) as usize;
    let mut meanwhile = vec![Step::CutFollower];
    for _ in 0..4 + draws.below(6) {
        let step = if draws.below(2) == 0 {
            as_of(Drawn { draws, sessions: 1, only_looks: None }.write(), 0)
        } else {
            as_of(Drawn { draws, sessions: 1, only_looks: Some(Watching::Look) }.look(), 1)
        };
        meanwhile.push(step);
    }
    meanwhile.push(Step::JoinLeader);
    // Open it must be.
    meanwhile.insert(0, Step::Open(1));
    steps.splice(at..at, meanwhile);
}

/// Behind the first four, by which the sessions are open and there is something.
fn insert(draws: &mut Draws, steps: &mut Vec<Step>, step: Step) {
    let at = 4 + draws.below(steps.len() as u64 - 4) as usize;
    steps.insert(at, step);
}

/// What a step is about, if it is one node.
fn path_of(step: &mut Step) -> Option<&mut String> {
    match step {
        Step::Create(_, path, ..)
        | Step::Set(_, path, ..)
        | Step::Delete(_, path, ..)
        | Step::Get(_, path, ..)
        | Step::Exists(_, path, ..)
        | Step::Children(_, path, ..) => Some(path),
        _ => None,
    }
}

fn as_of(mut step: Step, of: u8) -> Step {
    if let Step::Create(number, ..)
    | Step::Set(number, ..)
    | Step::Delete(number, ..)
    | Step::Multi(number, ..)
    | Step::Get(number, ..)
    | Step::Exists(number, ..)
    | Step::Children(number, ..) = &mut step
    {
        *number = of;
    }
    step
}

struct Drawn<'a> {
    draws: &'a mut Draws,
    sessions: u8,
    /// How it looks, if that is not drawn.
    only_looks: Option<Watching>,
}

impl Drawn<'_> {
    fn step(&mut self) -> Step {
        let number = self.number();
        match self.draws.below(40) {
            0..18 => self.write(),
            18..34 => self.look(),
            34..38 => Step::Told(number),
            38 => Step::Close(number),
            _ => Step::Open(number),
        }
    }

    fn number(&mut self) -> u8 {
        self.draws.below(u64::from(self.sessions)) as u8
    }

    fn write(&mut self) -> Step {
        let number = self.number();
        match self.draws.below(20) {
            0..8 => Step::Create(number, self.path(), self.mode(), self.len()),
            8..12 => Step::Set(number, self.path(), self.version(), self.len()),
            12..16 => Step::Delete(number, self.path(), self.version()),
            _ => {
                let count = self.draws.below(4);
                Step::Multi(number, (0..=count).map(|_| self.write_of_a_multi()).collect())
            }
        }
    }

    fn write_of_a_multi(&mut self) -> Write {
        match self.draws.below(10) {
            0..4 => Write::Create(self.path(), self.mode(), self.len()),
            4..6 => Write::Set(self.path(), self.version(), self.len()),
            6..8 => Write::Delete(self.path(), self.version()),
            _ => Write::Check(self.path(), self.version()),
        }
    }

    fn look(&mut self) -> Step {
        let number = self.number();
        let watching = *self.draws.one_of(&[Watching::Watch, Watching::Watch, Watching::Look]);
        let watching = self.only_looks.unwrap_or(watching);
        match self.draws.below(3) {
            0 => Step::Get(number, self.path(), watching),
            1 => Step::Exists(number, self.path(), watching),
            _ => Step::Children(number, self.path(), watching),
        }
    }

    fn path(&mut self) -> String {
        const PATHS: [&str; 8] = ["/a", "/a", "/a/b", "/a/b", "/a/b/c", "/e", "/e/x", ""];
        const STRANGE: [&str; 9] =
            ["/a/", "/a//b", "/a/./b", "/..", "/é", "/\u{1}", "/\u{7f}", "/\u{fff0}", "/\u{e000}"];
        let one_of: &[&str] = if self.draws.below(25) == 0 { &STRANGE } else { &PATHS };
        (*self.draws.one_of(one_of)).to_owned()
    }

    fn mode(&mut self) -> Mode {
        let modes = [
            Mode::Persistent,
            Mode::Persistent,
            Mode::Ephemeral,
            Mode::PersistentSequential,
            Mode::EphemeralSequential,
        ];
        *self.draws.one_of(&modes)
    }

    fn version(&mut self) -> Option<i32> {
        *self.draws.one_of(&[None, None, Some(0), Some(0), Some(1), Some(2), Some(-1), Some(-2)])
    }

    fn len(&mut self) -> u8 {
        self.draws.below(BYTES_MAX) as u8
    }
}
