//! A scenario of which the seed draws no fault of certain kinds.
//!
//! ```text
//! cargo sim score --rule watch-fires-once --leave-out detach
//! ```
//!
//! What a mistake needs to be found is shown by leaving it out.

use anyhow::{Context, bail};
use toml::{Table, Value};

use super::{Class, Scenario};

impl Scenario {
    /// The same without these kinds of faults, as seeds draw them. Errors: a kind that no class has, and a class of which the
    /// scenario names the kinds itself.
    pub fn leaving_out(&self, kinds: &[String]) -> anyhow::Result<Scenario> {
        if kinds.is_empty() {
            return Ok(self.clone());
        }
        let mut file: Table = toml::from_str(&self.text)?;
        let chaos = file.get_mut("chaos").and_then(Value::as_table_mut);
        let chaos = chaos.with_context(|| format!("{} draws no faults", self.name))?;
        for kind in kinds {
            let has_it = |class: &&Class| class.kinds().iter().any(|(known, _)| known == kind);
            let class = Class::ALL.iter().find(has_it);
            let class = class.with_context(|| format!("no class of faults has the kind `{kind}`"))?;
            leave_out(chaos, *class, kind)?;
        }
        let name = self.file.as_deref().unwrap_or(&self.name);
        let left = Scenario::parse(&self.name, name, &toml::to_string(&file)?)?;
        Ok(Scenario { file: self.file.clone(), ..left })
    }
}

fn leave_out(chaos: &mut Table, class: Class, kind: &str) -> anyhow::Result<()> {
    let Some(mix) = chaos.get_mut(class.name()) else { return Ok(()) };
    if let Value::String(level) = mix {
        let weights = class.kinds().iter();
        let weights = weights.map(|(kind, weight)| ((*kind).to_owned(), Value::from(i64::from(*weight))));
        let weights: Table = weights.collect();
        *mix = Value::Table(Table::from_iter([
            ("level".to_owned(), Value::from(level.clone())),
            ("weights".to_owned(), Value::from(weights)),
        ]));
    }
    match mix.get_mut("weights").and_then(Value::as_table_mut) {
        Some(weights) => drop(weights.remove(kind)),
        None => bail!("the scenario says itself which kinds of `{}` there are", class.name()),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::scenario::library::built_in_sweep;
    use crate::scenario::{Class, Plan};

    #[test]
    fn a_kind_that_is_left_out_is_drawn_by_no_seed_and_all_others_are() {
        let left =
            built_in_sweep().leaving_out(&["detach".into(), "disk-lies".into()]).expect("both are there");
        let drawn = |kind: &str| {
            (0..60).any(|seed| {
                let mixes = Plan::new(&left, seed).chaos.mixes;
                mixes.iter().any(|(class, mix)| mix.kinds(*class).iter().any(|(known, _)| *known == kind))
            })
        };
        let all = Class::ALL.iter().flat_map(|class| class.kinds()).map(|(kind, _)| *kind);
        let missing: Vec<&str> = all.filter(|kind| !drawn(kind)).collect();
        assert_eq!(missing, ["disk-lies", "detach"]);
    }

    #[test]
    fn a_kind_that_there_is_not_is_refused() {
        let refused = built_in_sweep().leaving_out(&["earthquake".into()]).expect_err("there is none");
        assert_eq!(refused.to_string(), "no class of faults has the kind `earthquake`");
    }
}
