//! Adds the simulation's flag to the compiler flags that are there already.
//!
//! Pure: the environment comes in as an argument. Cargo takes flags from one source alone, the first that is set:
//! `CARGO_ENCODED_RUSTFLAGS`, `RUSTFLAGS`, then its configuration files; so the flag goes to the one that counts.

/// What selects the simulator, as two arguments of rustc.
const FLAG: [&str; 2] = ["--cfg", "madsim"];

/// Between two flags of an encoded list.
const SEPARATOR: &str = "\u{1f}";

/// For which program the flags are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tool {
    Rustc,
    Rustdoc,
}

/// Where the flag goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Placed {
    /// This variable, with this value.
    Variable(&'static str, String),
    /// `--config` of cargo, which joins the list to those of configuration files.
    Config(String),
}

impl Tool {
    fn encoded(self) -> &'static str {
        match self {
            Tool::Rustc => "CARGO_ENCODED_RUSTFLAGS",
            Tool::Rustdoc => "CARGO_ENCODED_RUSTDOCFLAGS",
        }
    }

    fn plain(self) -> &'static str {
        match self {
            Tool::Rustc => "RUSTFLAGS",
            Tool::Rustdoc => "RUSTDOCFLAGS",
        }
    }

    fn config_key(self) -> &'static str {
        match self {
            Tool::Rustc => "build.rustflags",
            Tool::Rustdoc => "build.rustdocflags",
        }
    }
}

/// Places the flag for `tool`; `variable` tells the environment's value of a name.
pub fn place(tool: Tool, variable: impl Fn(&str) -> Option<String>) -> Placed {
    if let Some(flags) = variable(tool.encoded()) {
        return Placed::Variable(tool.encoded(), joined(&flags, SEPARATOR));
    }
    // Cargo reads an empty RUSTFLAGS like any other: as the whole list.
    if let Some(flags) = variable(tool.plain()) {
        return Placed::Variable(tool.plain(), joined(&flags, " "));
    }
    Placed::Config(format!("{}=[\"{}\", \"{}\"]", tool.config_key(), FLAG[0], FLAG[1]))
}

fn joined(flags: &str, separator: &str) -> String {
    let flag = FLAG.join(separator);
    let is_there = flags.split(separator).collect::<Vec<_>>().windows(2).any(|two| two == FLAG)
        || flags.split(separator).any(|one| one == "--cfg=madsim");
    match (is_there, flags.trim().is_empty()) {
        (true, _) => flags.to_owned(),
        (false, true) => flag,
        (false, false) => format!("{flags}{separator}{flag}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn placed(set: &[(&str, &str)]) -> Placed {
        let of = |name: &str| set.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned());
        place(Tool::Rustc, of)
    }

    #[test]
    fn without_any_flags_the_configuration_is_added_to() {
        assert_eq!(placed(&[]), Placed::Config(r#"build.rustflags=["--cfg", "madsim"]"#.into()));
        let docs = place(Tool::Rustdoc, |_| None);
        assert_eq!(docs, Placed::Config(r#"build.rustdocflags=["--cfg", "madsim"]"#.into()));
    }

    #[test]
    fn flags_of_the_environment_stay_and_the_simulator_joins_them() {
        let plain = placed(&[("RUSTFLAGS", "-C target-cpu=native")]);
        assert_eq!(plain, Placed::Variable("RUSTFLAGS", "-C target-cpu=native --cfg madsim".into()));
        let empty = placed(&[("RUSTFLAGS", "")]);
        assert_eq!(empty, Placed::Variable("RUSTFLAGS", "--cfg madsim".into()));
    }

    #[test]
    fn the_encoded_list_goes_before_the_plain_one() {
        let both = placed(&[("RUSTFLAGS", "-g"), ("CARGO_ENCODED_RUSTFLAGS", "-C\u{1f}opt-level=2")]);
        let wanted = "-C\u{1f}opt-level=2\u{1f}--cfg\u{1f}madsim".to_owned();
        assert_eq!(both, Placed::Variable("CARGO_ENCODED_RUSTFLAGS", wanted));
    }

    #[test]
    fn the_flag_is_not_given_twice() {
        for flags in ["--cfg madsim", "-g --cfg madsim -O", "--cfg=madsim"] {
            assert_eq!(placed(&[("RUSTFLAGS", flags)]), Placed::Variable("RUSTFLAGS", flags.into()));
        }
    }

    #[test]
    fn another_cfg_of_a_similar_name_is_not_the_flag() {
        let other = placed(&[("RUSTFLAGS", "--cfg madsim_export")]);
        assert_eq!(other, Placed::Variable("RUSTFLAGS", "--cfg madsim_export --cfg madsim".into()));
    }
}
