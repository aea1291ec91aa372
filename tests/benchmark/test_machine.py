from qdeploy.benchmark.machine import describe_machine


def test_what_the_system_tells_is_reported(tmp_path):
    frequency = tmp_path / "sys/devices/system/cpu/cpu0/cpufreq"
    frequency.mkdir(parents=True)
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc/cpuinfo").write_text(
        "processor : 0\nmodel name\t: A Processor\nflags\t: sse2 hypervisor avx2\n\nprocessor : 1\n"
    )
    (frequency / "scaling_governor").write_text("performance\n")
    (frequency / "scaling_cur_freq").write_text("3400000\n")
    facts = describe_machine(tmp_path)
    assert facts["cpu"] == "A Processor"
    assert facts["virtualised"] is True
    assert facts["governor"] == "performance"
    assert facts["frequency_khz"] == 3_400_000


def test_what_it_does_not_tell_is_none(tmp_path):
    facts = describe_machine(tmp_path)
    assert facts["virtualised"] is None
    assert facts["governor"] is None
    assert facts["frequency_khz"] is None
    assert facts["cpu"]
