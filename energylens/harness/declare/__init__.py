"""What a claim is: its declaration, regions, controls, statistics, and what it asks to be measured."""
