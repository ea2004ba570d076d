//! The configuration's files: `baton.toml`, `conf.d/*.toml`, the environment, `flows/*.toml`,
//! prompts and secrets, gathered for [`resolve`](crate::config::resolve).

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::base::Language;
use crate::config::Config;
use crate::config::fault::{Fault, Source};
use crate::config::resolve::{self, Disk, Files};

/// Reads and checks the configuration at `path` with everything that belongs to it.
pub fn load(path: &Path) -> Result<Config, Vec<Fault>> {
    let base = path.parent().map_or_else(PathBuf::new, Path::to_owned);
    let mut faults = vec![];
    let mut config = vec![];
    take(path, &mut config, &mut faults);
    for path in toml_files(&base.join("conf.d")) {
        take(&path, &mut config, &mut faults);
    }
    config.extend(environment(std::env::vars()));
    let mut flows = vec![];
    for path in toml_files(&base.join("flows")) {
        take(&path, &mut flows, &mut faults);
    }
    if !faults.is_empty() {
        return Err(faults);
    }
    resolve::resolve(&Files { config, flows, base }, &Local)
}

/// What is wrong with the certificates a configuration names.
pub fn certificates(config: &Config) -> Vec<Fault> {
    let Some(tls) = &config.http.tls else { return vec![] };
    match crate::io::http::read_certificate(tls) {
        Ok(_) => vec![],
        Err(fault) => vec![Source::new(tls.certificate.display().to_string(), "").fault(fault.to_string())],
    }
}

fn take(path: &Path, sources: &mut Vec<Source>, faults: &mut Vec<Fault>) {
    let name = path.display().to_string();
    match std::fs::read_to_string(path) {
        Ok(text) => sources.push(Source::new(name, text)),
        Err(error) => faults.push(Source::new(name, "").fault(error.to_string())),
    }
}

/// The directory's TOML files by name; none if there is no such directory.
fn toml_files(directory: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten().map(|entry| entry.path());
    let mut files: Vec<_> = entries.filter(|path| path.extension().is_some_and(|e| e == "toml")).collect();
    files.sort();
    files
}

/// `BATON__SECTION__KEY=VALUE`, each as the little file it stands for. The value is TOML; what is
/// not, is taken as a string.
fn environment(variables: impl Iterator<Item = (String, String)>) -> Vec<Source> {
    let mut sources: Vec<_> = variables
        .filter_map(|(name, value)| {
            let (section, key) = name.strip_prefix("BATON__")?.split_once("__")?;
            let (section, key) = (section.to_lowercase(), key.to_lowercase());
            let plain = format!("[{section}]\n{key} = {value}\n");
            let text = if toml::from_str::<toml::Table>(&plain).is_ok() {
                plain
            } else {
                format!("[{section}]\n{key} = {}\n", toml::Value::String(value))
            };
            Some(Source::new(format!("environment {name}"), text))
        })
        .collect();
    sources.sort_by(|a, b| a.name.cmp(&b.name));
    sources
}

/// This machine's disk.
struct Local;

impl Disk for Local {
    fn secret(&self, path: &Path) -> Result<String, String> {
        // `%d/name` is not expanded for us: systemd hands its credentials' directory over.
        let credentials = std::env::var_os("CREDENTIALS_DIRECTORY").map(PathBuf::from);
        let named = credentials.and_then(|directory| Some(directory.join(path.file_name()?)));
        let path = named.filter(|named| named.exists()).unwrap_or_else(|| path.to_owned());
        let text = std::fs::read_to_string(path).map_err(|error| error.to_string())?;
        Ok(text.trim_end_matches(['\r', '\n']).to_owned())
    }

    fn prompts(&self, directory: &Path) -> BTreeSet<(Language, String)> {
        let mut prompts = BTreeSet::new();
        for language in Language::ALL {
            let entries = std::fs::read_dir(directory.join(language.tag())).into_iter().flatten().flatten();
            for path in entries.map(|entry| entry.path()) {
                let spoken = path.extension().is_some_and(|e| e == "wav" || e == "txt");
                if let (true, Some(name)) = (spoken, path.file_stem().and_then(|name| name.to_str())) {
                    prompts.insert((language, name.to_owned()));
                }
            }
        }
        prompts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_environment_overrides_keys_of_sections() {
        let variables =
            [("BATON__HTTP__LISTEN", "127.0.0.1:0"), ("BATON__MEDIA__SHARDS", "2"), ("HOME", "x")];
        let sources = environment(variables.into_iter().map(|(k, v)| (k.to_owned(), v.to_owned())));
        let texts: Vec<_> = sources.iter().map(|source| source.text.as_str()).collect();
        assert_eq!(texts, ["[http]\nlisten = \"127.0.0.1:0\"\n", "[media]\nshards = 2\n"]);
    }
}
