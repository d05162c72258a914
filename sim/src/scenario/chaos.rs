//! How much of which faults the seed may draw: a level for each class, and perhaps only some of its kinds.

use std::collections::BTreeMap;

use seedlog::runtime::rng::Rng;

/// How often faults of a class strike.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, serde::Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    #[default]
    None,
    Light,
    Heavy,
}

/// Faults that have one cause in the world, and are left out together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Class {
    Process,
    Network,
    Disk,
    Clock,
    ZooKeeper,
    Clients,
}

/// What befalls clients, and what they do.
const CLIENTS: &[(&str, u32)] = &[
    ("client-kill", 4),
    ("client-power-failure", 1),
    ("pause", 2),
    ("suspend", 1),
    ("leave", 2),
    ("slow-consumer", 2),
    ("crash-at-point", 2),
    ("idle", 1),
    ("burst", 1),
    ("hot-key", 1),
    ("huge-record", 1),
];

/// What ZooKeeper does to its clients, with the usual weights.
const OF_ZOOKEEPER: &[(&str, u32)] = &[
    ("expire-session", 4),
    ("lost-reply", 2),
    ("lost-registration", 2),
    ("watches-late", 3),
    ("cut-short", 2),
    ("registry-breaks", 6),
    ("offset-garbled", 1),
    ("detach", 3),
    ("server-lags", 2),
    ("reconnect-storm", 1),
    ("quorum-lost", 1),
    ("zookeeper-kill", 1),
    ("zookeeper-power-failure", 1),
];

impl Class {
    pub const ALL: [Class; 6] =
        [Class::Process, Class::Network, Class::Disk, Class::Clock, Class::ZooKeeper, Class::Clients];

    /// The key under `[chaos]`.
    pub fn name(self) -> &'static str {
        match self {
            Class::Process => "process",
            Class::Network => "network",
            Class::Disk => "disk",
            Class::Clock => "clock",
            Class::ZooKeeper => "zookeeper",
            Class::Clients => "clients",
        }
    }

    /// The kinds of faults that a seed may draw in this class, named as `Injected::kind` names them, with
    /// their usual weights.
    pub fn kinds(self) -> &'static [(&'static str, u32)] {
        match self {
            Class::Process => &[
                ("power-failure", 4),
                ("kill", 3),
                ("pause", 2),
                ("suspend", 1),
                ("few-descriptors", 2),
                ("crash-in-disk", 2),
                ("crash-at-point", 2),
                ("crash-in-recovery", 2),
                ("stop", 2),
                ("reconfigure", 1),
                ("wipe", 2),
            ],
            Class::Network => &[
                ("cut", 4),
                ("reset", 2),
                ("reset-one-end", 2),
                ("delay", 2),
                ("bandwidth", 2),
                ("stall", 2),
                ("silent-drop", 1),
                ("connect-refused", 1),
                ("connect-unanswered", 1),
                ("slow-accept", 1),
            ],
            Class::Disk => &[
                ("disk-error", 4),
                ("disk-slow", 2),
                ("disk-hangs", 1),
                ("disk-full", 2),
                ("disk-sector-lost", 1),
                ("disk-lies", 2),
                ("disk-misdirects", 2),
                ("bit-flip", 3),
                ("bit-rot", 2),
                ("file-truncated", 2),
            ],
            Class::ZooKeeper => OF_ZOOKEEPER,
            Class::Clock => &[
                ("clock-bump", 2),
                ("clock-drift", 1),
                ("clock-strobe", 1),
                ("monotonic-drift", 1),
                ("timers-late", 2),
            ],
            Class::Clients => CLIENTS,
        }
    }
}

/// What is drawn of one class.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mix {
    pub level: Level,
    /// Weights of kinds; what is not named is not drawn. `None`: the class's usual mix.
    pub weights: Option<BTreeMap<String, u32>>,
}

impl Mix {
    /// Another level, perhaps, and other weights: what strikes often in one seed is missing in the next.
    pub fn varied(&self, class: Class, draws: &mut Rng) -> Mix {
        let levels = [Level::Light, self.level, Level::Heavy];
        let level = *draws.pick(&levels).expect("not empty");
        let mut weights = BTreeMap::new();
        for (kind, usual) in self.kinds(class) {
            let factor = *draws.pick(&[0, 1, 1, 4]).expect("not empty");
            weights.insert(kind.to_owned(), usual * factor);
        }
        let is_empty = weights.values().all(|weight| *weight == 0);
        Mix { level, weights: if is_empty { self.weights.clone() } else { Some(weights) } }
    }

    /// The kinds of `class` that this mix draws, with their weights.
    pub fn kinds(&self, class: Class) -> Vec<(&'static str, u32)> {
        let weight = |(kind, usual): &(&'static str, u32)| match &self.weights {
            None => (*kind, *usual),
            Some(weights) => (*kind, weights.get(*kind).copied().unwrap_or(0)),
        };
        class.kinds().iter().map(weight).filter(|(_, weight)| *weight > 0).collect()
    }

    /// Draws a kind by weight; `None` where the class has nothing to draw.
    pub fn draw(&self, class: Class, draws: &mut Rng) -> Option<&'static str> {
        let kinds = self.kinds(class);
        let mut at = draws.below(kinds.iter().map(|(_, weight)| u64::from(*weight)).sum::<u64>().max(1));
        kinds.into_iter().find_map(|(kind, weight)| match at.checked_sub(weight.into()) {
            Some(rest) => {
                at = rest;
                None
            }
            None => Some(kind),
        })
    }
}

/// How much of each class of faults is drawn from the seed. A class that is not there: none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Chaos {
    pub mixes: BTreeMap<Class, Mix>,
    /// The seed draws levels and weights too.
    pub is_any: bool,
}

impl Chaos {
    pub fn level(&self, class: Class) -> Level {
        self.mixes.get(&class).map_or(Level::None, |mix| mix.level)
    }

    /// Whether nothing is drawn at all.
    pub fn is_none(&self) -> bool {
        Class::ALL.iter().all(|&class| self.level(class) == Level::None)
    }
}

#[cfg(test)]
mod tests {
    use seedlog::runtime::sim::rng::derive;

    use super::*;

    #[test]
    fn only_what_has_a_weight_is_drawn() {
        let weights = BTreeMap::from([("kill".to_owned(), 1), ("pause".to_owned(), 3)]);
        let mix = Mix { level: Level::Light, weights: Some(weights) };
        let mut draws = derive(1, "test");
        let drawn: Vec<_> = (0..400).filter_map(|_| mix.draw(Class::Process, &mut draws)).collect();
        assert_eq!(drawn.len(), 400);
        let kills = drawn.iter().filter(|kind| **kind == "kill").count();
        assert!((60..140).contains(&kills), "{kills}");
        assert!(drawn.iter().all(|kind| ["kill", "pause"].contains(kind)));
    }

    #[test]
    fn a_varied_mix_draws_something_and_not_always_everything() {
        let usual = Mix { level: Level::Light, weights: None };
        let mut draws = derive(1, "test");
        let varied: Vec<Mix> = (0..100).map(|_| usual.varied(Class::Network, &mut draws)).collect();
        assert!(varied.iter().all(|mix| !mix.kinds(Class::Network).is_empty()));
        let all = Class::Network.kinds().len();
        assert!(varied.iter().any(|mix| mix.kinds(Class::Network).len() < all));
        assert!(varied.iter().any(|mix| mix.level == Level::Heavy));
    }

    #[test]
    fn a_class_without_kinds_draws_nothing() {
        let mix = Mix { level: Level::Heavy, weights: Some(BTreeMap::new()) };
        assert_eq!(mix.draw(Class::Disk, &mut derive(1, "test")), None);
    }
}
