use proptest::prelude::*;

use super::super::assign::Subscription;
use super::*;

const PATIENCE: RebalancePolicy =
    RebalancePolicy { tries_max: 2, backoff: Duration::from_secs(2), settle: Duration::from_millis(50) };
const TOPIC: &str = "t";

fn name(partition: i32) -> TopicPartition {
    TopicPartition::new(TOPIC, partition)
}

fn view(members: &[&str], partitions: i32) -> View {
    let subscription = Subscription::from([(TOPIC.to_owned(), 1)]);
    View {
        members: members.iter().map(|member| ((*member).to_owned(), subscription.clone())).collect(),
        partitions: BTreeMap::from([(TOPIC.to_owned(), (0..partitions).collect())]),
    }
}

fn joined(me: &str) -> Member {
    let mut member = Member::new(PATIENCE);
    assert_eq!(member.on(Event::SessionOpened), [Effect::Join]);
    let effects = member.on(Event::Joined(me.to_owned()));
    assert_eq!(effects, [Effect::Report(Report::Started), Effect::ReadView]);
    member
}

fn claim(partitions: &[i32]) -> BTreeMap<TopicPartition, u32> {
    partitions.iter().map(|partition| (name(*partition), 0)).collect()
}

fn names(partitions: &[i32]) -> BTreeSet<TopicPartition> {
    partitions.iter().map(|partition| name(*partition)).collect()
}

/// Alone in its group, with everything delivered.
fn stable(partitions: i32) -> Member {
    let mut member = joined("a");
    let all: Vec<i32> = (0..partitions).collect();
    assert_eq!(member.on(Event::ViewRead(view(&["a"], partitions))), [Effect::Claim(claim(&all))]);
    assert_eq!(member.on(Event::Claimed), [Effect::Deliver(claim(&all))]);
    let owned = partitions as u32;
    assert_eq!(member.on(Event::Delivering), [Effect::Report(Report::Finished { owned })]);
    member
}

#[test]
fn what_stays_is_neither_released_nor_claimed_again() {
    let mut member = stable(4);
    assert_eq!(member.on(Event::Changed), [Effect::Pause(PATIENCE.settle)]);
    member.on(Event::PauseOver);
    let effects = member.on(Event::ViewRead(view(&["a", "b"], 4)));
    assert_eq!(effects, [Effect::Release(names(&[2, 3]))]);
    assert_eq!(member.on(Event::Released), [Effect::Report(Report::Finished { owned: 2 })]);
}

#[test]
fn a_conflict_releases_everything_and_waits_for_what_was_in_the_way() {
    let mut member = stable(2);
    member.on(Event::Changed);
    member.on(Event::PauseOver);
    assert_eq!(member.on(Event::ViewRead(view(&["a"], 3))), [Effect::Claim(claim(&[2]))]);
    let others = BTreeMap::from([(name(2), "z-0".to_owned())]);
    let effects = member.on(Event::Conflict(others.clone()));
    assert_eq!(effects[1], Effect::Release(names(&[0, 1, 2])));
    let pause = Effect::PauseUntilUnowned(PATIENCE.backoff, names(&[2]));
    assert_eq!(member.on(Event::Released), std::slice::from_ref(&pause));
    assert!(member.held().is_empty());

    member.on(Event::PauseOver);
    member.on(Event::ViewRead(view(&["a"], 3)));
    member.on(Event::Conflict(others));
    let failed = Effect::Report(Report::Failed { tries: PATIENCE.tries_max });
    assert_eq!(member.on(Event::Released), [failed, pause]);
    assert_eq!(member.on(Event::PauseOver)[1], Effect::ReadView, "it goes on trying");
}

#[test]
fn what_an_earlier_session_owned_is_not_owned_by_the_next() {
    let mut member = stable(2);
    assert_eq!(member.on(Event::SessionOpened), [Effect::Join]);
    assert!(member.held().is_empty());
    member.on(Event::Joined("a".to_owned()));
    assert_eq!(member.on(Event::ViewRead(view(&["a"], 2))), [Effect::Claim(claim(&[0, 1]))]);
}

#[test]
fn a_claim_that_may_have_been_made_is_released_when_it_is_not_wanted_any_more() {
    let mut member = joined("b");
    member.on(Event::ViewRead(view(&["b"], 2)));
    assert_eq!(member.on(Event::Failed), [Effect::Pause(PATIENCE.backoff)]);
    member.on(Event::PauseOver);
    let effects = member.on(Event::ViewRead(view(&["a", "b"], 2)));
    assert_eq!(effects, [Effect::Release(names(&[0]))]);
    assert_eq!(member.on(Event::Released), [Effect::Claim(claim(&[1]))]);
}

#[test]
fn a_name_that_is_held_is_tried_again_when_it_is_free() {
    let mut member = Member::new(PATIENCE);
    member.on(Event::SessionOpened);
    assert_eq!(member.on(Event::NameHeld), [Effect::PauseUntilNameFree(PATIENCE.backoff)]);
    assert_eq!(member.on(Event::PauseOver), [Effect::Join]);
}

#[test]
fn a_release_that_failed_is_made_again() {
    let mut member = stable(2);
    member.on(Event::Changed);
    member.on(Event::PauseOver);
    member.on(Event::ViewRead(view(&["a", "b"], 2)));
    member.on(Event::Failed);
    member.on(Event::PauseOver);
    let effects = member.on(Event::ViewRead(view(&["a", "b"], 2)));
    assert_eq!(effects, [Effect::Release(names(&[1]))]);
}

/// What several members do to one ZooKeeper, one step at a time in any order.
#[derive(Default)]
struct World {
    members: Vec<Actor>,
    owners: BTreeMap<TopicPartition, usize>,
    partitions: i32,
}

struct Actor {
    member: Member,
    effects: Vec<Effect>,
    registered: bool,
    /// A watch fired since the last reading.
    changed: bool,
    delivers: BTreeSet<TopicPartition>,
}

impl World {
    fn with(members: usize, partitions: i32) -> World {
        let actor = || {
            let mut member = Member::new(PATIENCE);
            let effects = member.on(Event::SessionOpened);
            Actor { member, effects, registered: false, changed: false, delivers: BTreeSet::new() }
        };
        World { members: (0..members).map(|_| actor()).collect(), owners: BTreeMap::new(), partitions }
    }

    fn view(&self) -> View {
        let names: Vec<String> = self.registered().map(|index| format!("m{index}")).collect();
        view(&names.iter().map(String::as_str).collect::<Vec<_>>(), self.partitions)
    }

    fn registered(&self) -> impl Iterator<Item = usize> {
        (0..self.members.len()).filter(|index| self.members[*index].registered)
    }

    fn tell_everybody(&mut self) {
        for actor in self.members.iter_mut().filter(|actor| actor.registered) {
            actor.changed = true;
        }
    }

    /// Performs the member's next step; a pause ends at once.
    fn step(&mut self, index: usize) {
        let actor = &mut self.members[index];
        if actor.effects.is_empty() {
            if std::mem::take(&mut actor.changed) {
                actor.effects = actor.member.on(Event::Changed);
            }
            return;
        }
        let event = match self.members[index].effects.remove(0) {
            Effect::Join => {
                self.members[index].registered = true;
                self.tell_everybody();
                Event::Joined(format!("m{index}"))
            }
            Effect::ReadView => {
                self.members[index].changed = false;
                Event::ViewRead(self.view())
            }
            Effect::Release(partitions) => {
                self.members[index].delivers.retain(|name| !partitions.contains(name));
                self.owners.retain(|name, owner| *owner != index || !partitions.contains(name));
                Event::Released
            }
            Effect::Claim(claim) => self.claim(index, claim),
            Effect::Deliver(claim) => {
                self.members[index].delivers.extend(claim.into_keys());
                Event::Delivering
            }
            Effect::Pause(_) | Effect::PauseUntilUnowned(..) | Effect::PauseUntilNameFree(_) => {
                Event::PauseOver
            }
            Effect::Report(_) => return,
        };
        let effects = self.members[index].member.on(event);
        self.members[index].effects.extend(effects);
    }

    fn claim(&mut self, index: usize, claim: BTreeMap<TopicPartition, u32>) -> Event {
        let held = claim.keys().filter_map(|name| {
            let owner = self.owners.get(name).filter(|owner| **owner != index)?;
            Some((name.clone(), format!("m{owner}-0")))
        });
        let held: BTreeMap<_, _> = held.collect();
        if !held.is_empty() {
            return Event::Conflict(held);
        }
        self.owners.extend(claim.into_keys().map(|name| (name, index)));
        Event::Claimed
    }

    /// The process dies, and its session expires.
    fn crash(&mut self, index: usize) {
        let actor = &mut self.members[index];
        actor.delivers.clear();
        actor.registered = false;
        actor.effects = actor.member.on(Event::SessionOpened);
        self.owners.retain(|_, owner| *owner != index);
        self.tell_everybody();
    }
}

#[derive(Clone, Debug)]
enum Move {
    Step(usize),
    Crash(usize),
    AddPartition,
}

fn moves() -> impl Strategy<Value = Vec<Move>> {
    let step = prop_oneof![
        20 => (0_usize..4).prop_map(Move::Step),
        1 => (0_usize..4).prop_map(Move::Crash),
        1 => Just(Move::AddPartition),
    ];
    prop::collection::vec(step, 0..200)
}

proptest! {
    /// P24: whatever the order of steps, nobody delivers what it does not own; and left alone, the group comes
    /// to rest with every partition delivered by exactly one member.
    #[test]
    fn a_group_comes_to_rest_with_one_owner_each(moves in moves()) {
        let mut world = World::with(4, 5);
        for step in moves {
            match step {
                Move::Step(index) => world.step(index),
                Move::Crash(index) => world.crash(index),
                Move::AddPartition => {
                    world.partitions += 1;
                    world.tell_everybody();
                }
            }
            for (index, actor) in world.members.iter().enumerate() {
                for delivered in &actor.delivers {
                    prop_assert_eq!(world.owners.get(delivered), Some(&index));
                }
            }
        }
        for _ in 0..2_000 {
            (0..4).for_each(|index| world.step(index));
        }
        prop_assert!(world.members.iter().all(|actor| actor.effects.is_empty() && !actor.changed), "the group does not rest");
        let delivered: usize = world.members.iter().map(|actor| actor.delivers.len()).sum();
        prop_assert_eq!(delivered, usize::try_from(world.partitions).unwrap());
        prop_assert_eq!(world.owners.len(), delivered);
    }
}
