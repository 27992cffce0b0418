//! What Linux tells about a process, and about the machine.

use std::{collections::BTreeMap, fs, thread, time::Duration};

use anyhow::{Context, Result};

/// Resident memory of a process, in MiB.
pub(crate) fn resident_mib(pid: u32) -> Result<f64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    Ok(kib(&status, "VmRSS:")? / 1_024.0)
}

/// Page faults of a process so far, those that needed no disk.
pub(crate) fn page_faults(pid: u32) -> Result<f64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let (_, fields) = stat.rsplit_once(") ").context("no statistics of the process")?;
    Ok(fields.split(' ').nth(7).context("no page faults")?.parse()?)
}

/// CPU time that a process uses within a span, in milliseconds.
///
/// Its own sum comes in steps of 10 ms, those of its threads are exact but end with the thread: the larger
/// one counts.
pub(crate) fn cpu_ms_within(pid: u32, span: Duration) -> Result<f64> {
    let (ticks, threads) = (ticks_ms(pid)?, threads_ms(pid)?);
    thread::sleep(span);
    let by_threads: f64 = threads_ms(pid)?
        .into_iter()
        .map(|(thread, used)| used - threads.get(&thread).copied().unwrap_or(0.0))
        .sum();
    Ok(by_threads.max(ticks_ms(pid)? - ticks))
}

/// Cores, processor, memory, kernel.
pub(crate) fn shape() -> Result<String> {
    let cores = thread::available_parallelism()?;
    let processors = fs::read_to_string("/proc/cpuinfo")?;
    let model = processors.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let model = model.map_or("unknown processor", |(_, model)| model);
    let memory = kib(&fs::read_to_string("/proc/meminfo")?, "MemTotal:")? / 1_048_576.0;
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease")?;
    Ok(format!("{cores} cores of {model}, {memory:.0} GiB of memory, Linux {}", kernel.trim()))
}

/// CPU time that a process has used so far, in milliseconds, in steps of 10.
pub(crate) fn ticks_ms(pid: u32) -> Result<f64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // The name of the program may contain spaces; after it come the state and ten other numbers.
    let (_, fields) = stat.rsplit_once(") ").context("no statistics of the process")?;
    let used = fields.split(' ').skip(11).take(2).map(str::parse::<f64>);
    Ok(used.sum::<Result<f64, _>>()? * 10.0)
}

fn threads_ms(pid: u32) -> Result<BTreeMap<String, f64>> {
    let mut threads = BTreeMap::new();
    for entry in fs::read_dir(format!("/proc/{pid}/task"))? {
        let path = entry?.path();
        // A thread that has just ended is none.
        let Ok(stat) = fs::read_to_string(path.join("schedstat")) else { continue };
        let nanos: f64 = stat.split(' ').next().context("no statistics of a thread")?.parse()?;
        threads.insert(path.display().to_string(), nanos / 1e6);
    }
    Ok(threads)
}

fn kib(text: &str, name: &str) -> Result<f64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    let value = line.and_then(|line| line.split_whitespace().next());
    Ok(value.with_context(|| format!("no {name}"))?.parse()?)
}
