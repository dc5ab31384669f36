"""A small network in SUMO's format: a side road meets a main road of two lanes before a signal."""

from __future__ import annotations

__all__ = ["NET", "ROUTES", "SIGNALS"]

NET = """<?xml version="1.0" encoding="UTF-8"?>
<net version="1.20">
    <location netOffset="-600000.00,-5000000.00" convBoundary="0,0,1,1" projParameter="+proj=utm +zone=32 +ellps=WGS84 +units=m +no_defs"/>
    <edge id=":m_0" function="internal">
        <lane id=":m_0_0" index="0" speed="10.00" length="12.00"/>
        <lane id=":m_0_1" index="1" speed="10.00" length="12.00"/>
    </edge>
    <edge id=":m_1" function="internal"><lane id=":m_1_0" index="0" speed="5.00" length="8.00"/></edge>
    <edge id=":m_2" function="internal"><lane id=":m_2_0" index="0" speed="5.00" length="4.00"/></edge>
    <edge id=":m_3" function="internal"><lane id=":m_3_0" index="0" speed="6.50" length="6.00"/></edge>
    <edge id=":m_4" function="walkingarea"><lane id=":m_4_0" index="0" speed="1.00" length="6.00"/></edge>
    <edge id="main" from="w" to="m">
        <lane id="main_0" index="0" allow="pedestrian" speed="1.00" length="100.00"/>
        <lane id="main_1" index="1" speed="10.00" length="100.00"/>
        <lane id="main_2" index="2" allow="bus taxi" speed="10.00" length="100.00"/>
    </edge>
    <edge id="side" from="s" to="m"><lane id="side_0" index="0" speed="10.00" length="50.00"/></edge>
    <edge id="on" from="m" to="e">
        <lane id="on_0" index="0" disallow="truck" speed="10.00" length="200.00"/>
        <lane id="on_1" index="1" speed="10.00" length="200.00"/>
    </edge>
    <edge id="up" from="m" to="n"><lane id="up_0" index="0" speed="10.00" length="80.00"/></edge>
    <tlLogic id="m" type="static" programID="0" offset="10">
        <phase duration="30" state="GGgr"/>
        <phase duration="5" state="yyyr"/>
        <phase duration="20" state="rrrG"/>
        <phase duration="5" state="GGrr"/>
    </tlLogic>
    <junction id="m" type="traffic_light" x="100.00" y="0.00" incLanes="main_1 main_2 side_0" intLanes=":m_0_0 :m_0_1 :m_2_0 :m_3_0">
        <request index="0" response="0000" foes="1000" cont="0"/>
        <request index="1" response="0000" foes="1000" cont="0"/>
        <request index="2" response="0000" foes="1000" cont="1"/>
        <request index="3" response="0111" foes="0111" cont="0"/>
    </junction>
    <junction id="w" type="dead_end" x="0.00" y="0.00" incLanes="" intLanes=""/>
    <junction id="s" type="dead_end" x="100.00" y="-50.00" incLanes="" intLanes=""/>
    <junction id="e" type="dead_end" x="300.00" y="0.00" incLanes="on_0 on_1" intLanes=""/>
    <junction id="n" type="dead_end" x="100.00" y="80.00" incLanes="up_0" intLanes=""/>
    <junction id=":m_5_0" type="internal" x="101.00" y="1.00" incLanes=":m_1_0 side_0" intLanes=":m_0_0"/>
    <connection from="main" to="on" fromLane="1" toLane="0" via=":m_0_0" tl="m" linkIndex="0" dir="s" state="O"/>
    <connection from="main" to="on" fromLane="2" toLane="1" via=":m_0_1" tl="m" linkIndex="1" dir="s" state="O"/>
    <connection from="main" to="up" fromLane="2" toLane="0" via=":m_1_0" tl="m" linkIndex="2" dir="l" state="o"/>
    <connection from="side" to="on" fromLane="0" toLane="0" via=":m_3_0" tl="m" linkIndex="3" dir="r" state="o"/>
    <connection from=":m_1" to="up" fromLane="0" toLane="0" via=":m_2_0" dir="l" state="m"/>
    <connection from=":m_2" to="up" fromLane="0" toLane="0" dir="l" state="M"/>
</net>
"""

SIGNALS = """<additional>
    <tlLogic id="m" type="actuated" programID="1" offset="0">
        <phase duration="40" state="GGGG"/>
        <phase duration="20" state="rrrG"/>
    </tlLogic>
    <busStop id="stop" lane="on_0" startPos="1" endPos="20"/>
</additional>
"""

ROUTES = """<routes>
    <vType id="lorry" vClass="truck" length="12" minGap="3" tau="1.5" maxSpeed="25"/>
    <vType id="line" vClass="bus"/>
    <vTypeDistribution id="mix">
        <vType id="small" vClass="passenger" length="4" probability=".7"/><vType id="large" vClass="passenger" probability=".3"/>
    </vTypeDistribution>
    <route id="through" edges="main on"/>
    <vehicle id="a" depart="0" type="mix"><route edges="main on"/></vehicle>
    <vehicle id="b" depart="5.5" type="line" route="through"><stop busStop="stop" duration="20"/></vehicle>
    <vehicle id="c" depart="7" type="lorry"><route edges="main gone"/></vehicle>
    <vehicle id="d" depart="triggered" type="lorry"><route edges="main on"/></vehicle>
    <trip id="e" depart="9" from="side" to="on"/>
    <flow id="f" begin="10" end="40" number="3" type="lorry"><route edges="side on"/></flow>
    <flow id="g" begin="0" end="60" vehsPerHour="120" route="through"/>
    <person id="p" depart="0"><walk edges="main on"/></person>
</routes>
"""
