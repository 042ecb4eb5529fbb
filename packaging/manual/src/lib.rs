//! Writes manual pages and shell completions from the definition of the command line, so that neither can be out of date.
//! Packages call the hidden command `manual` of an executable; whoever has only the executable can do the same.
#![forbid(unsafe_code)]

use clap::{Args, Command};
use clap_complete::Shell;
use clap_mangen::Man;
use clap_mangen::roff::{Roff, roman};
use std::io;
use std::path::{Path, PathBuf};

/// The directory of each shell's completions, below `share`.
const SHELLS: [(Shell, &str); 3] = [
    (Shell::Bash, "bash-completion/completions"),
    (Shell::Zsh, "zsh/site-functions"),
    (Shell::Fish, "fish/vendor_completions.d"),
];

/// The arguments of an executable's hidden command `manual`.
#[derive(Clone, Debug, Args)]
pub struct ManualArgs {
    /// Directory to put man/, bash-completion/, zsh/ and fish/ into, such as /usr/local/share
    #[arg(value_name = "DIR")]
    share: PathBuf,
}

impl ManualArgs {
    /// Writes a manual page for `command` and each of its commands that is not hidden, and completions for bash, zsh and
    /// fish. `see_also` names the related pages, such as `hanja.toml(5)`.
    ///
    /// # Errors
    /// A directory or file that cannot be written, which is named.
    pub fn write(&self, command: &Command, see_also: &str) -> io::Result<()> {
        let mut command = visible(command);
        let name = command.get_name().to_owned();
        for (shell, folder) in SHELLS {
            let dir = folder_at(&self.share, folder)?;
            clap_complete::generate_to(shell, &mut command.clone(), &name, &dir)
                .map_err(|e| at(&dir, e))?;
            if shell == Shell::Bash {
                // bash-completion looks for a file with the command's bare name.
                let (written, wanted) = (dir.join(format!("{name}.bash")), dir.join(&name));
                std::fs::rename(&written, &wanted).map_err(|e| at(&wanted, e))?;
            }
        }
        command.build();
        pages(&command, see_also, &folder_at(&self.share, "man/man1")?)
    }
}

/// The command without its hidden parts, which completions would show. Nothing can be removed from a command, so a new one
/// is built from what pages and completions need.
fn visible(command: &Command) -> Command {
    let mut shown = Command::new(command.get_name().to_owned()).disable_help_subcommand(true);
    if let Some(version) = command.get_version() {
        shown = shown.version(version.to_owned());
    }
    if let Some(about) = command.get_about() {
        shown = shown.about(about.clone());
    }
    if let Some(about) = command.get_long_about() {
        shown = shown.long_about(about.clone());
    }
    if let Some(text) = command.get_after_help() {
        shown = shown.after_help(text.clone());
    }
    let args = command.get_arguments().filter(|a| !a.is_hide_set());
    let commands = command.get_subcommands().filter(|c| !c.is_hide_set());
    shown
        .subcommand_required(command.is_subcommand_required_set())
        .args(args.cloned())
        .subcommands(commands.map(visible))
}

fn pages(command: &Command, see_also: &str, dir: &Path) -> io::Result<()> {
    for inner in command.get_subcommands() {
        pages(inner, see_also, dir)?;
    }
    let man = Man::new(command.clone()).manual("hanja-pipeline");
    let mut page = Vec::new();
    man.render(&mut page)?;
    let mut end = Roff::new();
    end.control("SH", ["SEE ALSO"]).text([roman(see_also)]);
    end.to_writer(&mut page)?;
    let path = dir.join(man.get_filename());
    std::fs::write(&path, page).map_err(|e| at(&path, e))
}

fn folder_at(share: &Path, folder: &str) -> io::Result<PathBuf> {
    let dir = share.join(folder);
    std::fs::create_dir_all(&dir).map_err(|e| at(&dir, e))?;
    Ok(dir)
}

fn at(path: &Path, e: io::Error) -> io::Error {
    io::Error::new(e.kind(), format!("cannot write {}: {e}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::{Parser, Subcommand};

    /// Draws.
    #[derive(Parser)]
    #[command(name = "tool", version = "1.2")]
    struct Cli {
        #[command(subcommand)]
        command: Commands,
    }

    #[derive(Subcommand)]
    enum Commands {
        /// A line
        Line {
            /// Its width
            #[arg(long)]
            width: u32,
            #[arg(long, hide = true)]
            secret: bool,
        },
        #[command(hide = true)]
        Manual(ManualArgs),
    }

    #[test]
    fn pages_and_completions_of_what_is_not_hidden() {
        let dir = tempfile::tempdir().unwrap();
        let share = dir.path().to_str().unwrap();
        let Cli {
            command: Commands::Manual(args),
        } = Cli::parse_from(["tool", "manual", share])
        else {
            panic!("not the hidden command")
        };
        args.write(&<Cli as clap::CommandFactory>::command(), "line(7)")
            .unwrap();
        let read = |file: &str| std::fs::read_to_string(dir.path().join(file)).unwrap();
        let page = read("man/man1/tool-line.1");
        assert!(
            page.contains("width") && page.contains("Its width"),
            "{page}"
        );
        assert!(
            page.contains("SEE ALSO") && page.contains("line(7)"),
            "{page}"
        );
        assert!(read("man/man1/tool.1").contains("tool 1.2"));
        assert!(!dir.path().join("man/man1/tool-manual.1").exists());
        for file in [
            "bash-completion/completions/tool",
            "zsh/site-functions/_tool",
            "fish/vendor_completions.d/tool.fish",
        ] {
            let text = read(file);
            assert!(text.contains("width"), "{text}");
            assert!(
                !text.contains("manual") && !text.contains("secret"),
                "{text}"
            );
        }
    }

    #[test]
    fn a_place_that_cannot_be_written_is_named() {
        let share = PathBuf::from("/dev/null/share");
        let error = ManualArgs { share }
            .write(&<Cli as clap::CommandFactory>::command(), "")
            .unwrap_err();
        assert!(error.to_string().contains("/dev/null/share"), "{error}");
    }
}
