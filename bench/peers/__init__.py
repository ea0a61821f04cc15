"""The engines that fleetlog is measured beside: one module each, base.py says what each offers."""
