"""What the database knows of the service."""

from tests.unit.system.test_dead_letters import *
from tests.unit.system.test_overview import *
from tests.unit.system.test_processes import *
