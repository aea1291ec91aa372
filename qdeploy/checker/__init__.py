"""Proof of a certificate from model file and data; shares no mathematics with the trainer."""

from qdeploy.checker.check import CheckResult, OutputCheck, certify

__all__ = ["CheckResult", "OutputCheck", "certify"]
