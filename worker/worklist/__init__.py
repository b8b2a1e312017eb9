"""Performing the items of a UPS-RS worklist (PS3.18 11, PS3.4 Annex CC): IHE AI Workflow for Imaging."""
