//! What happens in a story: its steps, its chaos, and what is expected of it.

use std::collections::BTreeMap;

use seedlog::marks::Mark;
use seedlog::rules::Rule;

use super::chaos::{Chaos, Class, Level, Mix};
use super::error::Source;
use super::file::Checked;
use super::raw::{At, RawChaos, RawExpect, RawMix, RawStep};
use super::scope::Scope;
use super::step::{self, Step, Trigger};
use super::within::{self, Within};
use super::{Expect, Happening, STORM_MAX, Without, action, happening, is_name, units, words};
use crate::checkers;
use crate::lookout::TooLate;
use crate::report::Breakdown;

/// Largest weight of a kind of fault.
const WEIGHT_MAX: i64 = 1000;

/// Reads the steps; each may refer to those before it.
pub fn steps(source: Source, scope: &mut Scope, raw: &[RawStep]) -> Checked<Vec<Step>> {
    scope.add_steps(raw.iter().filter_map(|step| Some(step.name.as_ref()?.as_str())));
    let mut steps = Vec::new();
    for raw in raw {
        steps.push(step_of(source, scope, raw)?);
        if let Some(name) = &raw.name {
            scope.pass_step(name);
        }
    }
    Ok(steps)
}

fn step_of(source: Source, scope: &Scope, raw: &RawStep) -> Checked<Step> {
    let wrong = |place: &At<String>, message: String| source.error(place.span(), message);
    let trigger = trigger(source, scope, raw)?;
    if let Some(name) = raw.name.as_ref().filter(|name| !is_name(name)) {
        return Err(wrong(
            name,
            format!("`{}` is no name for a step: 1 to 64 letters, digits, `-`, `_` and `.`", **name),
        ));
    }
    let action = action::parse(&raw.action).map_err(|message| wrong(&raw.action, message))?;
    for selector in action.selectors() {
        scope.selector(selector).map_err(|message| wrong(&raw.action, message))?;
    }
    let name = raw.name.as_deref().cloned();
    Ok(Step { trigger, action, name, text: String::clone(&raw.action) })
}

fn trigger(source: Source, scope: &Scope, raw: &RawStep) -> Checked<Trigger> {
    let wrong = |place: &At<String>, message: String| source.error(place.span(), message);
    let (place, trigger) = match (&raw.at, &raw.when, &raw.after) {
        (Some(at), None, None) => {
            let at_time = units::duration(at).map_err(|message| wrong(at, message))?;
            if at_time > STORM_MAX {
                return Err(wrong(
                    at,
                    format!("`{}` is too late; a storm lasts at most {} s", **at, STORM_MAX.as_secs()),
                ));
            }
            return Ok(Trigger::At(at_time));
        }
        (None, Some(when), None) => (when, step::when(when)),
        (None, None, Some(after)) => (after, step::after(after)),
        (None, None, None) => {
            let message =
                "a step needs `at = \"4s\"`, `when = \"acked orders-0 17\"` or `after = \"NAME + 2s\"`";
            return Err(wrong(&raw.action, message.to_owned()));
        }
        _ => return Err(wrong(&raw.action, "a step has one of `at`, `when` and `after`".to_owned())),
    };
    let trigger = trigger.map_err(|message| wrong(place, message))?;
    match &trigger {
        Trigger::At(_) => Ok(()),
        Trigger::After { step, .. } => scope.earlier_step(step),
        Trigger::When { happening, .. } => scope.happening(happening),
    }
    .map_err(|message| wrong(place, message))?;
    Ok(trigger)
}

/// Reads how much of which faults is drawn.
pub fn chaos(source: Source, raw: &RawChaos) -> Checked<Chaos> {
    let raw_mix = |class| match class {
        Class::Process => &raw.process,
        Class::Network => &raw.network,
        Class::Disk => &raw.disk,
        Class::Clock => &raw.clock,
        Class::ZooKeeper => &raw.zookeeper,
        Class::Clients => &raw.clients,
    };
    let mut chaos = Chaos { is_any: raw.settings.is_some(), ..Chaos::default() };
    for class in Class::ALL {
        let mix = mix(source, class, raw_mix(class))?;
        if mix.level != Level::None {
            chaos.mixes.insert(class, mix);
        }
    }
    Ok(chaos)
}

fn mix(source: Source, class: Class, raw: &At<RawMix>) -> Checked<Mix> {
    let usual: BTreeMap<&str, u32> = class.kinds().iter().copied().collect();
    let known = |kind: &At<String>| {
        usual.get(kind.as_str()).copied().ok_or_else(|| {
            let hint = words::did_you_mean(kind, usual.keys().copied());
            let kinds: Vec<&str> = usual.keys().copied().collect();
            let list = if hint.is_empty() { format!("; there are: {}", kinds.join(", ")) } else { hint };
            source.error(kind.span(), format!("`{}` is no fault of the class {}{list}", **kind, class.name()))
        })
    };
    let weights = match (&raw.only, &raw.weights) {
        (None, None) => None,
        (Some(_), Some(_)) => {
            return Err(source.error(raw.span(), "a mix has `only` or `weights`, not both"));
        }
        (Some(only), None) => {
            Some(only.iter().map(|kind| Ok((String::clone(kind), known(kind)?))).collect::<Checked<_>>()?)
        }
        (None, Some(weights)) => {
            let weight = |(kind, weight): (&At<String>, &At<i64>)| {
                known(kind)?;
                match u32::try_from(**weight) {
                    Ok(number) if **weight <= WEIGHT_MAX => Ok((String::clone(kind), number)),
                    _ => Err(source.error(weight.span(), format!("a weight: 0 to {WEIGHT_MAX}"))),
                }
            };
            Some(weights.iter().map(weight).collect::<Checked<BTreeMap<_, _>>>()?)
        }
    };
    if weights.as_ref().is_some_and(|weights| weights.values().all(|weight| *weight == 0)) {
        return Err(source.error(raw.span(), "nothing is left to draw; leave the class out, or say `none`"));
    }
    Ok(Mix { level: raw.level, weights })
}

/// Reads what is expected, once everything that has a name is known.
pub fn expect(source: Source, scope: &Scope, raw: &RawExpect) -> Checked<Expect> {
    let happens = raw.happens.iter().map(|text| happening(source, scope, text));
    let meets = raw.meets.iter().map(|slug| mark(source, slug));
    let within = raw.within.iter().map(|(condition, limit)| within_of(source, scope, condition, limit));
    let without = raw.without.iter().map(|without| {
        let rule = Rule::from_slug(&without.rule).ok_or_else(|| {
            let known: Vec<&str> = Rule::ALL.iter().map(|rule| rule.slug()).collect();
            source.error(without.rule.span(), unknown(&without.rule, "rule", &known))
        })?;
        Ok(Without { rule, violates: check(source, &without.violates)? })
    });
    Ok(Expect {
        happens: happens.collect::<Checked<_>>()?,
        meets: meets.collect::<Checked<_>>()?,
        within: within.collect::<Checked<_>>()?,
        except: raw.except.iter().map(|name| check(source, name)).collect::<Checked<_>>()?,
        without: without.collect::<Checked<_>>()?,
    })
}

fn happening(source: Source, scope: &Scope, text: &At<String>) -> Checked<Happening> {
    let happening = happening::parse(text).map_err(|message| source.error(text.span(), message))?;
    scope.happening(&happening).map_err(|message| source.error(text.span(), message))?;
    Ok(happening)
}

fn within_of(source: Source, scope: &Scope, condition: &At<String>, limit: &At<String>) -> Checked<Within> {
    let wrong = |place: &At<String>, message: String| source.error(place.span(), message);
    let come_true = within::condition(condition).map_err(|message| wrong(condition, message))?;
    scope.condition(&come_true).map_err(|message| wrong(condition, message))?;
    let (time, since) = within::limit(limit).map_err(|message| wrong(limit, message))?;
    scope.since(&since).map_err(|message| wrong(limit, message))?;
    Ok(Within { condition: come_true, limit: time, since })
}

fn mark(source: Source, slug: &At<String>) -> Checked<Mark> {
    let found = Mark::ALL.iter().copied().find(|mark| mark.slug() == slug.as_str());
    found.ok_or_else(|| {
        let known: Vec<&str> = Mark::ALL.iter().map(|mark| mark.slug()).collect();
        source.error(slug.span(), unknown(slug, "mark", &known))
    })
}

/// A check, by slug or id, or another way to fail.
fn check(source: Source, name: &At<String>) -> Checked<String> {
    let others = [TooLate::SLUG, Breakdown::Panic.slug(), Breakdown::EventLimit.slug()];
    if let Some(check) = checkers::named(name) {
        return Ok(check.slug.to_owned());
    }
    if others.contains(&name.as_str()) {
        return Ok(String::clone(name));
    }
    let known: Vec<&str> = checkers::CHECKS.iter().map(|check| check.slug).chain(others).collect();
    Err(source.error(name.span(), unknown(name, "check", &known)))
}

fn unknown(name: &str, what: &str, known: &[&str]) -> String {
    let hint = words::did_you_mean(name, known.iter().copied());
    let list = if hint.is_empty() { format!("; there are: {}", known.join(", ")) } else { hint };
    format!("`{name}` is no {what}{list}")
}
