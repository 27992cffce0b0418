//! Writes a workspace into the configuration file, and keeps all else that is there.

use toml_edit::{ArrayOfTables, DocumentMut, Item, Table, value};

use super::LIST;

const ID: &str = "id";
const PLATFORM: &str = "platform_url";
const SINGLE_ID: &str = "workspace_id";
const TOKEN: &str = "token";
const TOKEN_FILE: &str = "token_file";

/// `text` with the workspace `id` in it: with another token, if it was there. Why not follows the name of the file.
pub(crate) fn with_workspace(
    text: &str,
    id: &str,
    platform: &str,
    token_file: &str,
) -> Result<String, String> {
    let mut document: DocumentMut =
        text.parse().map_err(|_| "is not valid TOML: mend it, or move it away".to_owned())?;
    let root = document.as_table_mut();
    if text_of(root, SINGLE_ID).is_some_and(|single| single.eq_ignore_ascii_case(id)) {
        set(root, PLATFORM, platform);
        set(root, TOKEN_FILE, token_file);
        root.remove(TOKEN);
        return Ok(document.to_string());
    }
    list_the_single_one(root);
    let common = text_of(root, PLATFORM);
    if common.is_none() {
        set(root, PLATFORM, platform);
    }
    let is_elsewhere =
        common.is_some_and(|common| common.trim_end_matches('/') != platform.trim_end_matches('/'));
    let list = root.entry(LIST).or_insert(Item::ArrayOfTables(ArrayOfTables::new())).as_array_of_tables_mut();
    let list =
        list.ok_or_else(|| format!("has {LIST} in one line: write a table [[{LIST}]] for each of them"))?;
    let is_it = |entry: &Table| text_of(entry, ID).is_some_and(|other| other.eq_ignore_ascii_case(id));
    let found = list.iter().position(is_it);
    let place = found.unwrap_or(list.len());
    if found.is_none() {
        list.push(Table::new());
    }
    let Some(entry) = list.get_mut(place) else { return Err("could not be extended".to_owned()) };
    set(entry, ID, id);
    set(entry, TOKEN_FILE, token_file);
    entry.remove(TOKEN);
    entry.remove(PLATFORM);
    if is_elsewhere {
        set(entry, PLATFORM, platform);
    }
    Ok(document.to_string())
}

/// Makes an entry of the list of a workspace that stands alone.
fn list_the_single_one(root: &mut Table) {
    let Some(id) = root.remove(SINGLE_ID) else { return };
    let mut entry = Table::new();
    entry.insert(ID, id);
    for key in [TOKEN_FILE, TOKEN] {
        if let Some(item) = root.remove(key) {
            entry.insert(key, item);
        }
    }
    let mut list = ArrayOfTables::new();
    list.push(entry);
    root.insert(LIST, Item::ArrayOfTables(list));
}

fn text_of(table: &Table, key: &str) -> Option<String> {
    Some(table.get(key)?.as_str()?.trim().to_owned())
}

fn set(table: &mut Table, key: &str, text: &str) {
    if text_of(table, key).as_deref() != Some(text) {
        table.insert(key, value(text));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: &str =
        "platform_url = \"https://acme.example\"\n\n[[workspaces]]\nid = \"a\"\ntoken_file = \"tokens/a\"\n";

    #[test]
    fn the_first_workspace_makes_the_file() {
        assert_eq!(with_workspace("", "a", "https://acme.example", "tokens/a").unwrap(), FIRST);
    }

    #[test]
    fn another_one_is_added_with_its_platform_if_that_is_another() {
        let same = with_workspace(FIRST, "b", "https://acme.example/", "tokens/b").unwrap();
        let other = with_workspace(FIRST, "b", "https://other.example", "tokens/b").unwrap();

        assert_eq!(same, format!("{FIRST}\n[[workspaces]]\nid = \"b\"\ntoken_file = \"tokens/b\"\n"));
        assert!(
            other.ends_with("token_file = \"tokens/b\"\nplatform_url = \"https://other.example\"\n"),
            "{other}"
        );
    }

    #[test]
    fn the_same_one_gets_another_token_and_everything_else_stays() {
        let text = format!(
            "# mine\nverbose = true  # loud\n{}",
            FIRST.replace("token_file = \"tokens/a\"", "token = 'x'")
        );

        let after = with_workspace(&text, "A", "https://acme.example", "/run/token").unwrap();

        assert_eq!(
            after,
            "# mine\nverbose = true  # loud\nplatform_url = \"https://acme.example\"\n\n[[workspaces]]\nid = \"A\"\n\
             token_file = \"/run/token\"\n"
        );
        assert_eq!(with_workspace(&after, "A", "https://acme.example", "/run/token").unwrap(), after);
    }

    #[test]
    fn one_that_stands_alone_becomes_the_first_of_a_list() {
        let single = "platform_url = 'https://acme.example'\nworkspace_id = 'a'\ntoken_file = 'token'\nverbose = true\n";

        let changed = with_workspace(single, "a", "https://new.example", "other").unwrap();
        let listed = with_workspace(single, "b", "https://acme.example", "tokens/b").unwrap();

        assert_eq!(
            changed,
            "platform_url = \"https://new.example\"\nworkspace_id = 'a'\ntoken_file = \"other\"\nverbose = true\n"
        );
        assert_eq!(
            listed,
            "platform_url = 'https://acme.example'\nverbose = true\n\n[[workspaces]]\nid = 'a'\ntoken_file = 'token'\n\n\
             [[workspaces]]\nid = \"b\"\ntoken_file = \"tokens/b\"\n"
        );
    }

    #[test]
    fn what_cannot_be_understood_is_left_alone() {
        for text in ["x = [", "workspaces = [{ id = 'a', token_file = 't' }]"] {
            assert!(with_workspace(text, "b", "https://acme.example", "t").is_err(), "{text}");
        }
    }
}
