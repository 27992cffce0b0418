//! What the program is told, and what the machine gives it.

use anyhow::Result;
use molecule_tests::{launch::Launch, served::Served};

use super::{CANARY, Diagnosis, finds, run, to};

#[tokio::test]
async fn settings_that_are_missing_unusable_doubtful_or_misspelt() -> Result<()> {
    let nothing = Launch::new()?;
    finds(&nothing, "setting-missing", &["WORKSPACE_ID", "PLATFORM_URL", "MOLECULE_WORKSPACE_TOKEN"]).await?;
    finds(&to("ftp://acme.example")?, "setting-unusable", &["PLATFORM_URL"]).await?;
    let platform = Served::start().await?;
    let launch =
        platform.launch()?.env("MOLECULE_MCP_STRUCTURED", "maybe").env("MOLECULE_WORKSPACE_TOKN", CANARY);

    let found = Diagnosis::of(&launch).await?;

    found.has("setting-doubtful", &["MOLECULE_MCP_STRUCTURED"])?;
    found.has("setting-unknown", &["MOLECULE_WORKSPACE_TOKN"])?;
    found.has("setting-from", &["WORKSPACE_ID", "MOLECULE_WORKSPACE_TOKEN = set, and not shown"])?;
    assert!(!found.report.to_string().contains("canary"), "{:#}", found.report);
    Ok(())
}

#[tokio::test]
async fn a_doctor_that_does_not_know_an_argument_says_so() -> Result<()> {
    let output = run(&Launch::new()?, &["--jsn"]).await?;

    assert_eq!(output.status.code(), Some(2));
    Ok(())
}

#[tokio::test]
async fn a_system_that_gives_too_little() -> Result<()> {
    let platform = Served::start().await?;
    for (hardship, id) in [
        ("nofile=30", "descriptors-few"),
        ("as=1000000000", "address-space-small"),
        ("mdwe=1", "component-refused"),
    ] {
        let launch = platform.launch()?.under(hardship);
        let output = run(&launch, &["--json"]).await?;
        // Where the system cannot do that.
        if output.status.code() == Some(molecule_tests::launch::CANNOT) {
            continue;
        }
        let said = String::from_utf8(output.stdout)?;
        assert!(said.contains(&format!("\"{id}\"")), "{said} {}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(())
}
